"""Measures cells: builds a fresh environment for each, probes it, adds what came out to the evidence."""
