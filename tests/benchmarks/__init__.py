"""Benchmarks. They report ratios within one run, since absolute times depend on the machine."""
