"""How it is told: one file a format, each a pure function from a report to text."""
