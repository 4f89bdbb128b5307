"""The fault table: hostile input and broken machines, each really done. See ``docs/faults.md``."""
