"""Renderers, one file per format: pure functions from a report to text. They add no facts."""
