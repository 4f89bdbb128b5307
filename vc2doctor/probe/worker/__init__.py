"""The half of the probe that runs inside the target interpreter.

Self-contained: the standard library, torch, transformers and peft only, Python 3.8+ and torch 1.13+. The doctor
starts it by path (see ``__main__.py``) and never imports the modules that need torch; ``recipes`` and ``protocol``
need nothing and are shared by both sides.
"""

WORKER_VERSION = "3"
"""Raised whenever a measurement could come out differently; written into every evidence line."""
