"""Reads released wheels, without installing them: what one package imports of another, and what that one has."""
