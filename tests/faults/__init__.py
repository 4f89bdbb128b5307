"""Planted faults and their clean twins: see table.py, and ``nox -s probe-truth``."""
