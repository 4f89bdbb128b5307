"""Fixes what the rules found: all of a change or none of it, formatting kept."""
