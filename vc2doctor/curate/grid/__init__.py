"""Measure cells: build a fresh environment for each, probe it, and add a line of evidence."""
