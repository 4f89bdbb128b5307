"""The formats of reports, one module each.

A module defines ``FORMAT``: the name, the file suffixes, and a renderer for each kind of report that the format
supports. A new format needs no registration: the file is enough.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal, NamedTuple

from vc2doctor.core import discovery

ReportKind = Literal["check", "lint", "versions", "tables", "needs"]
"""``check``: the report on an examination, of ``check`` and ``probe``; ``versions``: a verdict on versions;
``tables``: the matrix as tables; ``needs``: the releases that programs need."""


class Format(NamedTuple):
    """One format of reports."""

    name: str
    suffixes: tuple[str, ...]
    """The usual suffixes of its files."""
    renderers: Mapping[ReportKind, Callable[[Any], str]]
    """Each returns a report of its kind as text. It imports what is slow only when it is called."""


@lru_cache(maxsize=1)
def known() -> dict[str, Format]:
    """Return every format by its name; ``text`` comes first."""
    formats: list[Format] = [import_module(f"{__name__}.{name}").FORMAT for name in discovery.module_names(__path__)]
    return {form.name: form for form in sorted(formats, key=lambda form: (form.name != "text", form.name))}


def names(kind: ReportKind) -> tuple[str, ...]:
    """Return the names of the formats that can render reports of ``kind``."""
    return tuple(name for name, form in known().items() if kind in form.renderers)


def render(kind: ReportKind, report: Any, name: str) -> str:  # noqa: ANN401 - a report of that kind
    """Return a report of ``kind`` in the format ``name``; the text ends with a newline."""
    return known()[name].renderers[kind](report)
