"""Asks whether a file can be executed, by the same rights with which it would be executed."""

import os
from pathlib import Path


def is_executable(path: str | Path) -> bool:
    """Return whether this process may execute the file at ``path``.

    The effective user and capabilities decide, as they do for exec; ``os.access`` asks for the real ones by default.
    """
    return os.access(path, os.X_OK, effective_ids=os.access in os.supports_effective_ids)
