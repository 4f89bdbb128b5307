"""What was raised, as data."""

from vc2doctor.core.data import Data


class Missing(Data):
    """What an import did not find: a module, or a symbol in one."""

    module: str
    symbol: str | None = None


class Failure(Data):
    """What was raised, where, and by whose code."""

    type: str
    message: str
    file: str | None = None
    """Below the import root: ``peft/peft_model.py``."""
    line: int | None = None
    package: str | None = None
    missing: Missing | None = None
