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
    shows_fixes: bool = False
    """Whether it shows the fix of each of the linter's findings as text, which takes time to make."""
    shows_map: bool = False
    """Whether it shows the map of transformers and peft around an environment, which takes time to make."""
    requirements: tuple[str, ...] = ()
    """What its renderers need beside the dependencies of vc2doctor: the extra that has the name of the format."""


@lru_cache(maxsize=1)
def known() -> dict[str, Format]:
    """Return every format by its name; ``text`` comes first."""
    formats: list[Format] = [import_module(f"{__name__}.{name}").FORMAT for name in discovery.module_names(__path__)]
    return {form.name: form for form in sorted(formats, key=lambda form: (form.name != "text", form.name))}


def names(kind: ReportKind) -> tuple[str, ...]:
    """Return the names of the formats that can render reports of ``kind``."""
    return tuple(name for name, form in known().items() if kind in form.renderers)


def for_file(kind: ReportKind, name: str) -> str | None:
    """Return the format whose suffix the name of a file has; of several the one with the longest suffix.

    ``None``: no format has this suffix. A format that cannot render ``kind`` is returned all the same.
    """
    lower = name.lower()
    fitting = [
        (len(suffix), kind in form.renderers, form.name)
        for form in known().values()
        for suffix in form.suffixes
        if lower.endswith(suffix)
    ]
    return max(fitting)[2] if fitting else None


def check_ready(name: str) -> None:
    """Check that the packages are installed that the format ``name`` needs.

    Raises:
        MissingPackagesError: one of them is not there, or too old. The message says how to install them.
    """
    if known()[name].requirements:
        from vc2doctor.report import extras  # noqa: PLC0415 - most formats need no further package

        extras.check(name, known()[name].requirements)


def render(kind: ReportKind, report: Any, name: str) -> str:  # noqa: ANN401 - a report of that kind
    """Return a report of ``kind`` in the format ``name``; the text ends with a newline.

    Raises:
        MissingPackagesError: the format needs packages that are not installed.
    """
    check_ready(name)
    return known()[name].renderers[kind](report)
