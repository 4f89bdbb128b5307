"""An exception that was raised in the target, as data."""

from vc2doctor.core.data import Data


class Missing(Data):
    """What an import statement did not find: a module, or a symbol in a module."""

    module: str
    symbol: str | None = None


class Failure(Data):
    """An exception: its type, its message, and the line of code that raised it."""

    type: str
    message: str
    file: str | None = None
    """Relative to the import root: ``peft/peft_model.py``."""
    line: int | None = None
    package: str | None = None
    missing: Missing | None = None

    @property
    def description(self) -> str:
        """Type, message in one line, and the place if it is known, as a clause."""
        place = f", raised at {self.file}:{self.line}" if self.file else ""
        return f"{self.type}: {' '.join(self.message.split()).rstrip('.')}{place}"
