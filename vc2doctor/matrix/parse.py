"""Read the versions that a user asks about: words such as ``torch==2.5.1``, or a file of JSON objects."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import Field

from vc2doctor.core import parsing, reading
from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.matrix.compiled import GPU
from vc2doctor.matrix.judge import Combination
from vc2doctor.matrix.types import check_version

MAX_WORD_LENGTH = 200
"""Characters. The longest real requirement is far shorter, and a version of thousands of digits is none."""
MAX_QUOTED_LENGTH = 60
"""Characters of a word in a message."""
FORMS = "torch==2.5.1, 'torch>=2.1,<2.6', or torch alone"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_SINGLE_EQUALS = re.compile(r"=(?!=)")
_OPERATORS = ("==", "~=", "!=", "<", ">", "===")
_HINTS = {
    "[": "extras are not judged; leave out the brackets",
    ";": "environment markers are not judged; leave out what follows the semicolon",
    "@": "an address says no version; write the version that is installed from it",
}
_SUFFIXES_OF_FILES = (".txt", ".toml", ".yml", ".yaml", ".lock", ".json", ".jsonl", ".cfg", ".in")


class CombinationError(DoctorError):
    """A combination that the user asked about cannot be understood."""


class VersionQuery(Data):
    """Versions that a user asks about, by canonical name. Each name is in one of the three fields."""

    exact: dict[str, str]
    """Versions. That of ``python`` is its minor version, such as ``3.11``."""
    ranges: dict[str, str] = Field(default_factory=dict)
    """Specifiers that several releases can meet."""
    bare: tuple[str, ...] = ()
    """Names without a version."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that the user gave."""
        return *self.exact, *self.ranges, *self.bare

    @property
    def combination(self) -> Combination:
        """The exact versions as a combination; other packages may be there."""
        versions = {name: text for name, text in self.exact.items() if name != "python"}
        return Combination(python=self.exact.get("python"), versions=versions, installed=False)


class LocatedQuery(NamedTuple):
    """A query, and the line of the file that it stands in."""

    line: int
    query: VersionQuery


def from_words(words: Iterable[str]) -> VersionQuery:
    """Return the query that words such as ``torch==2.5.1``, ``peft`` and ``transformers>=4.40,<4.45`` make.

    Raises:
        CombinationError: a word cannot be understood, a package is named twice, or there are no words.
    """
    return _query(_name_and_rest(word) for word in words)


def from_names(texts_by_name: Mapping[str, str]) -> VersionQuery:
    """Return the query of versions (or specifiers, or empty texts) by distribution name.

    The name ``python`` stands for the interpreter.

    Raises:
        CombinationError: a name or version cannot be understood, a package is named twice, or the mapping is empty.
    """
    return _query(_checked_item(name, text) for name, text in texts_by_name.items())


def from_file(path: Path) -> Iterator[LocatedQuery]:
    """Yield the queries of a JSON Lines file, or of a pipe; each line is an object of versions by distribution name.

    Raises:
        CombinationError: the file cannot be read, or a line is something else; the message gives its number.
    """
    try:
        text = reading.read_text_or_pipe(path)
    except reading.ReadError as error:
        raise CombinationError(str(error)) from error
    # Not `splitlines`: a JSON string may hold characters that it splits at.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield LocatedQuery(number, _query_of_line(line, f"{path}:{number}"))


def _query_of_line(line: str, place: str) -> VersionQuery:
    expected = 'a JSON object of versions by package name, such as {"torch": "2.5.1"}'
    try:
        # Pairs, because a dictionary would silently keep only the last of two equal names.
        items = parsing.parse_json(line, object_pairs_hook=_Pairs)
    except parsing.MalformedError as error:
        message = f"{place}: not {expected}: {error}"
        raise CombinationError(message) from error
    if not isinstance(items, _Pairs):
        message = f"{place}: not {expected}"
        raise CombinationError(message)
    try:
        return _query(_checked_item(name, text) for name, text in items)
    except CombinationError as error:
        message = f"{place}: {error}"
        raise CombinationError(message) from error


class _Pairs(list[tuple[str, object]]):
    """The names and values of a JSON object, in their order."""


def _query(items: Iterable[tuple[str, str]]) -> VersionQuery:
    exact: dict[str, str] = {}
    ranges: dict[str, str] = {}
    bare: list[str] = []
    written: dict[str, str] = {}
    for name, rest in items:
        canonical_name = canonicalize_name(name)
        text = f"{name}{rest}"
        if canonical_name in written:
            message = f"{canonical_name} is named twice: {written[canonical_name]} and {text}. Name it once."
            raise CombinationError(message)
        written[canonical_name] = text
        version, specifier = _version_or_specifier(text, rest)
        if version:
            exact[canonical_name] = _minor(text, version) if canonical_name == "python" else version
        elif specifier:
            ranges[canonical_name] = specifier
        elif canonical_name == GPU:
            # A GPU has no version: naming it says that the machine has one.
            exact[GPU] = "1"
        elif canonical_name == "python":
            message = "python is named without a version. Write the one that you use: python==3.11."
            raise CombinationError(message)
        else:
            bare.append(canonical_name)
    if not written:
        message = "no package is named; name some: torch==2.5.1 transformers==4.57.3 peft==0.11.1"
        raise CombinationError(message)
    return VersionQuery(exact=exact, ranges=ranges, bare=tuple(bare))


def _name_and_rest(word: str) -> tuple[str, str]:
    """Return the name in a word, and what follows it: an operator and versions, or nothing."""
    stripped = word.strip()
    match = _NAME.match(stripped)
    _check_length(stripped)
    if match is None:
        what = "names no package before the version" if stripped[:1] in tuple("=<>!~") else "names no package"
        message = f"{quoted(word)} {what}. Write {FORMS}."
        raise CombinationError(message)
    name, rest = match[0], stripped[match.end() :].strip()
    if not rest:
        _check_bare(name)
    elif not rest.startswith(("=", *_OPERATORS)):
        hint = next((hint for sign, hint in _HINTS.items() if rest.startswith(sign) or f" {sign}" in rest), "")
        message = f"{quoted(word)} is not a package with a version{f': {hint}' if hint else ''}. Write {FORMS}."
        raise CombinationError(message)
    return name, rest


def _check_bare(name: str) -> None:
    """Refuse a word that is no name although it has the letters of one: a version, or a file."""
    if name.lower().endswith(_SUFFIXES_OF_FILES):
        message = f"{quoted(name)} is the name of a file, not of a package. Pass a JSON Lines file with --batch."
        raise CombinationError(message)
    try:
        Version(name)
    except InvalidVersion:
        return
    message = f"{quoted(name)} is a version without a package. Write both in one word: torch=={name}."
    raise CombinationError(message)


def _checked_item(name: str, value: object) -> tuple[str, str]:
    """Return a name and what follows it, as ``_name_and_rest`` does, for an entry of a mapping."""
    if not isinstance(value, str):
        message = f"{quoted(name)}: the version {quoted(str(value))} is not a text. Put it in quotation marks."
        raise CombinationError(message)
    text = value.strip()
    for part in (name, text):
        _check_length(part)
    if not _NAME.fullmatch(name):
        message = f"{quoted(name)} is not the name of a package."
        raise CombinationError(message)
    return name, text if not text or text.startswith(("=", *_OPERATORS)) else f"={text}"


def _check_length(word: str) -> None:
    if len(word) > MAX_WORD_LENGTH:
        message = (
            f"{quoted(word)} has {len(word):,} characters. A package with a version has at most {MAX_WORD_LENGTH}."
        )
        raise CombinationError(message)


def _version_or_specifier(text: str, rest: str) -> tuple[str, str]:
    """Return the one version that ``rest`` names, or the specifier that several releases can meet.

    The other text is empty, and both are if ``rest`` is.

    Raises:
        CombinationError: ``rest`` is neither.
    """
    if not rest:
        return "", ""
    value = rest.lstrip("=").strip()
    if not value:
        message = f"{quoted(text)}: no version follows the sign. Write {FORMS}."
        raise CombinationError(message)
    specifier_text = f"=={value}" if _SINGLE_EQUALS.match(rest) else rest
    try:
        clauses = list(SpecifierSet(specifier_text))
    except InvalidSpecifier as error:
        is_version = rest.startswith("=") and "," not in rest
        expected = "a version such as 2.5.1" if is_version else "a version specifier such as >=2.1,<2.6"
        message = f"{quoted(text)}: {quoted(value)} is not {expected} (PEP 440)."
        raise CombinationError(message) from error
    if len(clauses) == 1 and clauses[0].operator in ("==", "===") and not clauses[0].version.endswith(".*"):
        return _checked_version(text, clauses[0].version), ""
    return "", specifier_text


def _checked_version(text: str, version: str) -> str:
    try:
        return check_version(version)
    except ValueError as error:
        message = f"{quoted(text)}: {error}"
        raise CombinationError(message) from error


def _minor(text: str, version: str) -> str:
    release = Version(version).release
    if len(release) < len(("major", "minor")):
        message = f"{quoted(text)}: the minor version of Python decides. Write it: python==3.11."
        raise CombinationError(message)
    return ".".join(str(part) for part in release[:2])


def quoted(text: str) -> str:
    """Return ``text`` in quotation marks, without control characters, and cut if it is long."""
    return repr(text if len(text) <= MAX_QUOTED_LENGTH else f"{text[:MAX_QUOTED_LENGTH]}…")
