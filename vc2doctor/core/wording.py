"""English that several messages need."""

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """Return ``1 file`` or ``2 files``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def enumerated(names: Sequence[str], conjunction: str = "and") -> str:
    """Return ``a, b and c``, or the same with another conjunction."""
    return f" {conjunction} ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
