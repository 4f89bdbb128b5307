"""What a row of the fault table is: what is done, and what must be true afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.faults.running import Running
    from tests.faults.scene import Scene

MAX_SECONDS = 150.0
"""Wall clock of one row. A row takes a second or two on an idle machine; after this long it counts as a hang.
On a loaded machine, the limit is a multiple of it."""
MAX_CPU_SECONDS = 60
"""Processor time of one process of a row: pathological input that takes longer counts as a hang."""
MAX_MEMORY_KIB = 6_000_000
"""Address space of one process of a row, so that a file without end does not take the memory of the machine."""


class NotPossibleError(Exception):
    """This machine cannot do what the row needs; the message says why. The row is skipped."""


@dataclass(frozen=True)
class Command:
    """One run of ``python -m vc2doctor`` with the words ``words``."""

    words: tuple[str | bytes, ...]
    script: str = 'exec "$@"'
    """A bash script that starts the doctor, which is ``"$@"``: it closes streams, sets limits, mounts."""
    folder: Path | None = None
    """The working directory; ``None``: the tree of the scene."""
    variables: Mapping[str, str | None] = field(default_factory=dict)
    """Environment variables to set, or to remove (``None``)."""
    python: tuple[str, ...] = ()
    """What runs the doctor instead of this Python with ``-m vc2doctor``."""
    is_on_terminal: bool = False
    """Whether standard output and error are a terminal."""
    meanwhile: Callable[[Running], None] | None = None
    """What happens to the doctor while it runs."""


@dataclass(frozen=True)
class Ran:
    """How a run ended."""

    code: int | None
    """The exit code, or minus the number of the signal that ended it; ``None``: it hung."""
    out: str
    err: str
    seconds: float
    cpu_seconds: float

    @property
    def text(self) -> str:
        """All that it printed, as one line, because messages are wrapped on a terminal."""
        return " ".join(f"{self.out}\n{self.err}".split())


@dataclass(frozen=True)
class Expected:
    """What must be true after the run."""

    codes: tuple[int, ...]
    """The exit codes that are right: minus the number of a signal for a run that was killed."""
    says: tuple[str, ...] = ()
    """Texts that must all be in the output."""
    says_not: tuple[str, ...] = ()
    """Texts that must not be in the output. ``Traceback`` never may."""
    changes: tuple[str, ...] = ()
    """Patterns of files, relative to the scene, that the run may create or change. All others must stay."""
    verify: Callable[[Scene, Ran], str] | None = None
    """Returns what else is wrong, or an empty text."""


@dataclass(frozen=True)
class Row:
    """One fault."""

    kind: str
    """A key of ``kinds.KINDS``."""
    name: str
    sentence: str
    """What is done, for the page."""
    plan: Callable[[Scene], Command]
    """Makes the files that the fault needs, and returns the command to run."""
    expected: Expected
    in_suite: bool = False
    """Whether the test suite runs it. ``nox -s faults`` runs all."""


def row(  # noqa: PLR0913 - what a row says, one keyword each
    kind: str,
    *codes: int,
    says: tuple[str, ...] | str = (),
    says_not: tuple[str, ...] | str = (),
    changes: tuple[str, ...] = (),
    verify: Callable[[Scene, Ran], str] | None = None,
    in_suite: bool = False,
) -> Callable[[Callable[[Scene], Command]], Row]:
    """Return a decorator that makes a row of a function; its name and docstring become those of the row."""
    expected = Expected(codes, _as_tuple(says), _as_tuple(says_not), changes, verify)

    def decorate(plan: Callable[[Scene], Command]) -> Row:
        return Row(kind, plan.__name__, " ".join((plan.__doc__ or "").split()), plan, expected, in_suite)

    return decorate


def rows(  # noqa: PLR0913 - what a row says, one keyword each
    kind: str,
    cases: Mapping[str, str | bytes],
    *codes: int,
    says: tuple[str, ...] | str = (),
    says_not: tuple[str, ...] | str = (),
    changes: tuple[str, ...] = (),
    suite: tuple[str, ...] = (),
) -> Callable[[Callable[[Scene, str], Command]], tuple[Row, ...]]:
    """Return a decorator that makes one row a case; ``cases`` are values by name. The suite runs those in ``suite``."""
    expected = Expected(codes, _as_tuple(says), _as_tuple(says_not), changes)

    def decorate(plan: Callable[[Scene, str], Command]) -> tuple[Row, ...]:
        sentence = " ".join((plan.__doc__ or "").split()).rstrip(".")
        return tuple(
            Row(
                kind,
                f"{plan.__name__}_{name}",
                f"{sentence}: {name.replace('_', ' ')}.",
                lambda scene, value=value: plan(scene, value),  # type: ignore[misc]
                expected,
                name in suite,
            )
            for name, value in cases.items()
        )

    return decorate


def _as_tuple(texts: tuple[str, ...] | str) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else texts
