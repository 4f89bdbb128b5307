"""Names of calls that make an optimizer."""

_BUILDERS = frozenset({"create_optimizer", "build_optimizer", "get_optimizer", "configure_optimizers"})
_PLAIN = frozenset({"Adam", "AdamW", "SGD"})

TRAINING_OPTIMIZERS = _BUILDERS | _PLAIN | {"Adam8bit", "AdamW8bit", "Adafactor", "Lion"}
"""A module that calls one of these trains."""

PLAIN_OPTIMIZERS = _BUILDERS | _PLAIN | {"setup_optimizer"}
"""Optimizers that VC109 reports over half-precision parameters. Adafactor, Lion and the 8-bit ones are not reported."""
