"""Compares what two versions of the doctor decide, whatever they call it: see ``__main__.py``."""
