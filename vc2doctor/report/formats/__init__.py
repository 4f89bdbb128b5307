"""The formats of reports: a module each, found by its being here. A format declares which reports it renders.

A format is a module with ``NAME``, ``SUFFIXES`` and ``RENDERERS``: what renders each kind of report, as a function from
the report to text. Adding the file is all that is needed.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal, NamedTuple

from vc2doctor.core import discovery

ReportKind = Literal["check", "lint", "versions", "tables"]
"""``check`` is the report of an examination, of ``check`` and of ``probe``; ``versions`` is an answer on versions;
``tables`` is the matrix as tables."""


class Format(NamedTuple):
    """One format."""

    name: str
    suffixes: tuple[str, ...]
    """Of files that are written in it."""
    renderers: Mapping[ReportKind, Callable[[Any], str]]
    """A renderer imports what it needs when it is called."""


@lru_cache(maxsize=1)
def known() -> dict[str, Format]:
    """Return every format, by its name; ``text`` is the first."""
    found = [import_module(f"{__name__}.{name}").FORMAT for name in discovery.module_names(__path__)]
    return {each.name: each for each in sorted(found, key=lambda each: (each.name != "text", each.name))}


def names(kind: ReportKind) -> tuple[str, ...]:
    """Return the names of the formats that render reports of ``kind``."""
    return tuple(name for name, each in known().items() if kind in each.renderers)


def render(kind: ReportKind, report: Any, name: str) -> str:  # noqa: ANN401 - a report of that kind
    """Return a report of ``kind`` in the format ``name``, with a newline at its end."""
    return known()[name].renderers[kind](report)
