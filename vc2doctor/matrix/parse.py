"""Read the combinations that a user asks about: words such as ``torch=2.5.1``, or a file of JSON objects."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from vc2doctor.core.errors import DoctorError
from vc2doctor.matrix.judge import Combination
from vc2doctor.matrix.types import check_version

# Users also paste requirements, so ``torch==2.5.1`` is accepted as well.
_WORD = re.compile(r"^\s*([A-Za-z][\w.-]*)\s*==?\s*(\S+)\s*$")


class CombinationError(DoctorError):
    """A combination that the user asked about cannot be understood."""


def from_words(words: Iterable[str]) -> Combination:
    """Return the combination that words such as ``torch=2.5.1`` name.

    Raises:
        CombinationError: a word is not ``NAME=VERSION``, or there are no words.
    """
    versions: dict[str, str] = {}
    for word in words:
        match = _WORD.match(word)
        if match is None:
            message = f"{word!r} is not NAME=VERSION, such as torch=2.5.1"
            raise CombinationError(message)
        versions[match[1]] = match[2]
    return from_names(versions)


def from_names(versions_by_name: Mapping[str, str]) -> Combination:
    """Return the combination of versions by distribution name; the name ``python`` stands for the interpreter.

    Raises:
        CombinationError: a version does not follow PEP 440, or the mapping is empty.
    """
    if not versions_by_name:
        message = "no package is named; name some: torch=2.5.1 transformers=4.57.3 peft=0.11.1"
        raise CombinationError(message)
    versions: dict[str, str] = {
        canonicalize_name(name): _checked_version(name, text) for name, text in versions_by_name.items()
    }
    python = versions.pop("python", None)
    minor = None if python is None else ".".join(str(part) for part in Version(python).release[:2])
    return Combination(python=minor, versions=versions, installed=False)


def _checked_version(name: str, text: str) -> str:
    try:
        return check_version(text)
    except ValueError as error:
        message = f"{name}={text}: {error}"
        raise CombinationError(message) from error


def from_file(path: Path) -> Iterator[Combination]:
    """Yield the combinations of a JSON Lines file; each line is an object of versions by distribution name.

    Raises:
        CombinationError: a line is something else; the message gives its number.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                entry = json.loads(line)
                yield from_names({str(name): str(text) for name, text in entry.items()})
            except (ValueError, AttributeError, CombinationError) as error:
                message = (
                    f"{path}:{number}: not a JSON object of versions by package name, "
                    f'such as {{"torch": "2.5.1"}}: {error}'
                )
                raise CombinationError(message) from error
