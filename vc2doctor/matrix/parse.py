"""Reads combinations that a user names: words such as ``torch=2.5.1``, or a file of JSON objects."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from vc2doctor.core.errors import DoctorError
from vc2doctor.matrix.judge import Combination

_WORD = re.compile(r"^\s*([A-Za-z][\w.-]*)\s*==?\s*(\S+)\s*$")


class CombinationError(DoctorError):
    """A combination that was asked about cannot be understood."""


def from_words(words: Iterable[str]) -> Combination:
    """Return the combination of words such as ``torch=2.5.1``.

    Raises:
        CombinationError: a word is something else.
    """
    named: dict[str, str] = {}
    for word in words:
        match = _WORD.match(word)
        if match is None:
            message = f"{word!r} is not NAME=VERSION, such as torch=2.5.1"
            raise CombinationError(message)
        named[match[1]] = match[2]
    return from_names(named)


def from_names(named: dict[str, str]) -> Combination:
    """Return the combination of versions by name; ``python`` may be among them.

    Raises:
        CombinationError: a version is none (PEP 440), or nothing is named.
    """
    if not named:
        message = "no package is named; name some: torch=2.5.1 transformers=4.57.3 peft=0.11.1"
        raise CombinationError(message)
    versions: dict[str, str] = {canonicalize_name(name): _version(name, text) for name, text in named.items()}
    python = versions.pop("python", None)
    minor = None if python is None else ".".join(str(part) for part in Version(python).release[:2])
    return Combination(python=minor, versions=versions, installed=False)


def from_file(path: Path) -> Iterator[Combination]:
    """Yield the combinations of a JSON Lines file, whose objects are versions by name.

    Raises:
        CombinationError: a line is something else; the message names it.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                told = json.loads(line)
                yield from_names({str(name): str(text) for name, text in told.items()})
            except (ValueError, AttributeError, CombinationError) as error:
                message = f'{path}:{number}: not versions by name, such as {{"torch": "2.5.1"}}: {error}'
                raise CombinationError(message) from error


def _version(name: str, text: str) -> str:
    try:
        Version(text)
    except InvalidVersion as error:
        message = f"{name}={text}: not a version (PEP 440), such as 2.5.1"
        raise CombinationError(message) from error
    return text
