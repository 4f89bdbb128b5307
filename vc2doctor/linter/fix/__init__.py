"""Applies the edits of findings: all edits of a change or none, and the formatting is kept."""
