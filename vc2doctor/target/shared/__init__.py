"""Definitions that both sides of the probe use: recipes, spec, protocol. Standard library only, Python 3.8."""
