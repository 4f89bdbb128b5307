"""Shows what became of the mutants: on a terminal, and as docs/mutants.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.mutants.mutations import Mutant
from tests.mutants.running import ROOT, Fate, Result
from vc2doctor.core.parsing import parse_toml

PAGE = ROOT / "docs" / "mutants.md"
REASONS = Path(__file__).with_name("reasons.toml")
"""Why a mutant that survives may do so. A mutant is named by its owner and its changed lines, since lines move."""
_HEAD = """\
# Mutants of the judging code

`nox -s mutants` changes the code that judges, one small change at a time: `<` becomes `<=`, `and` becomes `or`, an
argument becomes `None`, a number grows by 1. Each changed copy is a mutant. If a unit test fails, the mutant is killed.
A mutant that survives is a change of behavior that no test notices, or no change at all.

The changes are those of [mutmut](https://mutmut.readthedocs.io), in all functions and in the numbers of constants.
Texts with a space are not changed: they are sentences for people, and a test that repeats a sentence shows nothing.
Only the unit tests of these modules run. `nox -s mutants -- --page` writes this page.
"""


class Row(NamedTuple):
    """The mutants of one module, counted."""

    path: str
    killed: int
    survived: int
    """Those that no test reaches are among them."""
    timed_out: int

    @property
    def share(self) -> float:
        """The share of killed mutants, of all that did not time out."""
        return self.killed / max(1, self.killed + self.survived)


def rows(results: Sequence[Result]) -> list[Row]:
    """Count the mutants of each module."""
    counted = []
    for path in dict.fromkeys(result.mutant.path for result in results):
        fates = [result.fate for result in results if result.mutant.path == path]
        survived = fates.count(Fate.SURVIVED) + fates.count(Fate.UNREACHED)
        counted.append(Row(path, fates.count(Fate.KILLED), survived, fates.count(Fate.TIMED_OUT)))
    return counted


def terminal_text(results: Sequence[Result]) -> str:
    """Return the survivors and the table for a terminal."""
    reasons = read_reasons()
    lines = []
    for mutant, fate in _left(results):
        lines += [f"{mutant.path}:{mutant.line} {mutant.owner}: {fate.value}", f"  - {mutant.before}"]
        lines += [f"  + {mutant.after}", f"  {reasons.get(_key(mutant), 'no reason is known')}"]
    lines += [
        f"{row.path:32} {row.killed:4} killed  {row.survived:3} survived  {row.timed_out:2} timed out  {row.share:6.1%}"
        for row in rows(results)
    ]
    return "\n".join(lines)


def write(results: Sequence[Result]) -> None:
    """Write docs/mutants.md."""
    PAGE.write_text("\n".join(_page_lines(results)) + "\n", encoding="utf-8")


def read_reasons() -> dict[tuple[str, ...], str]:
    """Return why a survivor may survive, by its key."""
    entries = parse_toml(REASONS.read_text(encoding="utf-8"))["survivor"]
    return {(each["path"], each["owner"], each["before"], each["after"]): each["why"] for each in entries}


def _page_lines(results: Sequence[Result]) -> Iterator[str]:
    yield _HEAD
    yield "| module | mutants | killed | survived | timed out | killed share |\n|---|---|---|---|---|---|"
    for row in rows(results):
        total = row.killed + row.survived + row.timed_out
        counts = f"{total} | {row.killed} | {row.survived} | {row.timed_out}"
        yield f"| `{row.path}` | {counts} | {row.share:.1%} |"
    reasons = read_reasons()
    yield "\n## Survivors"
    for mutant, fate in _left(results):
        why = reasons.get(_key(mutant), "left")
        yield f"\n`{mutant.path}:{mutant.line}` in `{mutant.owner}`, {fate.value}: {why}\n"
        yield f"```diff\n- {mutant.before}\n+ {mutant.after}\n```"


def _left(results: Sequence[Result]) -> list[Result]:
    return [result for result in results if result.fate is not Fate.KILLED]


def _key(mutant: Mutant) -> tuple[str, ...]:
    return mutant.path, mutant.owner, mutant.before, mutant.after
