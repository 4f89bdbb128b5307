"""The file ``api.json``: in which releases the names, keywords and attributes of the training packages exist.

``nox -s wheels`` writes it (see ``curate/wheels/api.py``). Of modules and classes only what some release
lacks is listed: a name that is as old as its module, and still there, is not.
"""

import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from vc2doctor.core import reading
from vc2doctor.core.data import Data
from vc2doctor.matrix.errors import MatrixError, reason_of

API_FILE = "api.json.gz"
HERE = ""
"""The key of the releases in which the owner of the other entries (a module, a callable, a class) exists."""
OPEN = "**"
"""The key of the releases in which a callable takes every keyword, or in which its keywords are unknown."""
INHERITS = "+"
"""Begins the key of the releases in which a callable takes the keywords of a class of another package as well."""
ALL = "-"
"""The range of all releases."""

MAX_BYTES = 256 * 1024 * 1024
"""Of the decompressed file; the shipped one has 8 MB."""

REST = "*"
"""In a shape: takes any number of arguments by position."""
KEYWORD_ONLY = ":"
"""In a shape: begins a parameter that is taken by keyword only."""
UNKNOWN_SHAPE = "?"
"""The shape of a callable whose parameters are not known, such as one with an unknown decorator."""
FROM = "@"
"""In ``passes``: separates what is passed from the method that passes it."""

Spans = Mapping[str, str]
"""Ranges of releases → names that exist in exactly these, separated by spaces; see ``HERE``, ``OPEN``, ``INHERITS``.

``4.28.0-4.57.6`` includes both ends; without one end it is open; several ranges are separated by commas.
"""


class PackageApi(Data):
    """The public names of one package."""

    releases: tuple[str, ...]
    """The releases that were read, the oldest first."""
    modules: dict[str, Spans]
    """By module: in which releases the module and its names can be imported."""
    callables: dict[str, Spans]
    """By name (what the package itself exports) or ``module:name``: which keywords are taken."""
    members: dict[str, Spans]
    """By the same keys, of classes: which attributes their objects have, inherited ones included."""
    shapes: dict[str, Spans] = Field(default_factory=dict)
    """By the keys of ``callables``, and by ``class key.method`` in the class that defines the method: releases → the
    parameters in order, those with a default with ``=`` at the end, then ``REST``, the parameters that are taken by
    keyword only (old names that a decorator translates included), and ``OPEN``."""
    bases: dict[str, Spans] = Field(default_factory=dict)
    """By class key: releases → the keys of its base classes in order; those of another package begin with ``INHERITS``,
    and ``UNKNOWN_SHAPE`` stands for one that is not known."""
    passes: dict[str, Spans] = Field(default_factory=dict)
    """By ``class key.method``: what the class passes in some releases when it calls that method of itself, with the
    calling method: ``num_items_in_batch@training_step`` is a keyword, ``3@train`` a number of arguments by position."""
    moved: dict[str, str] = Field(default_factory=dict)
    """``module:name`` → the module that defines the name in the newest release."""
    renamed: dict[str, str] = Field(default_factory=dict)
    """``callable:keyword`` → the new name of the keyword, as a decorator of a release translated it."""


class Api(Data):
    """The content of ``api.json.gz``."""

    schema_: int = Field(default=1, alias="schema")
    date: str
    """The day on which the index was read: ``2026-11-28``."""
    packages: dict[str, PackageApi]


def read(path: Path) -> Api | None:
    """Return the content of the file at ``path``; ``None``: there is no such file.

    Raises:
        MatrixError: the file holds something else.
    """
    if not path.exists():
        return None
    try:
        return Api.model_validate_json(_decompressed(reading.read_bytes(path)))
    except (OSError, EOFError, ValueError, zlib.error, reading.ReadError) as error:
        message = f"{path}: the file is not one that `nox -s wheels` wrote: {reason_of(error)}"
        raise MatrixError(message) from error


def _decompressed(data: bytes) -> bytes:
    """Return the content of a gzip file, of at most ``MAX_BYTES``: a few kB can stand for gigabytes.

    Raises:
        ValueError: it holds more.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        message = f"it holds more than {MAX_BYTES // 1024**2} MiB"
        raise ValueError(message)
    return content


def to_text(selected: int, releases: Sequence[str]) -> str:
    """Return the releases whose bits are set in ``selected`` (bit 0 is the oldest) as ranges."""
    parts: list[str] = []
    start: int | None = None
    for position in range(len(releases) + 1):
        is_in = position < len(releases) and selected >> position & 1
        if is_in and start is None:
            start = position
        elif not is_in and start is not None:
            first = "" if start == 0 else releases[start]
            last = "" if position == len(releases) else releases[position - 1]
            parts.append(f"{first}-{last}")
            start = None
    return ",".join(parts)


def to_bits(text: str, places: Mapping[str, int]) -> int:
    """Return the releases of ``to_text`` as bits; ``places`` are the positions of the releases.

    Raises:
        KeyError: a release is not among ``places``.
    """
    bits = 0
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        start = places[first] if first else 0
        stop = places[last] + 1 if last else len(places)
        bits |= (1 << stop) - (1 << start)
    return bits
