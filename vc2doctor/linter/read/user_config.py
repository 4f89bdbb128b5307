"""Reads the file that ``accelerate config`` writes for a user: it decides every launch that names no other one.

https://huggingface.co/docs/accelerate/basic_tutorials/launch#custom-configurations
"""

import os
from collections.abc import Mapping
from pathlib import Path

from vc2doctor.core import huggingface, reading
from vc2doctor.linter.model import LintError
from vc2doctor.linter.read.config import Config
from vc2doctor.linter.read.discover import MAX_DATA_BYTES
from vc2doctor.linter.read.formats.yaml import parse_yaml


def default_path(environment: Mapping[str, str]) -> Path:
    """Return where accelerate keeps the user's default file."""
    return huggingface.accelerate_file(environment)


def read_user_config(environment: Mapping[str, str] = os.environ) -> Config:
    """Return accelerate's default file of the user who runs the doctor. Its name is shown with ``~`` for the home.

    Raises:
        LintError: there is no such file, or it cannot be read.
    """
    path = default_path(environment)
    try:
        text = reading.read_text_leniently(path, MAX_DATA_BYTES)
    except reading.ReadError as error:
        message = f"--user-config reads accelerate's default file, and {error}"
        raise LintError(message) from error
    config = parse_yaml(_shown(path), text)
    if config is None:
        message = f"--user-config reads accelerate's default file, and {path} is not a mapping of settings"
        raise LintError(message)
    return config


def _shown(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home()).as_posix()}"
    except ValueError:
        return path.as_posix()
