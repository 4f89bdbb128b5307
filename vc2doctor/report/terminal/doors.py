"""The doors that were tried, for people: the words of the verdict line, and the rows of the probe.

A door is a way into the stack: a plain loop, ``transformers.Trainer``, a trainer of trl. The functions take any objects
with these attributes, so this file knows neither the probe nor the names of the doors.
"""

from collections.abc import Container, Iterator, Sequence
from typing import Protocol

from vc2doctor.core.wording import enumerated
from vc2doctor.report.terminal.folding import folded_line
from vc2doctor.report.terminal.lines import Line, Marks, probe_row, short_row, text_line
from vc2doctor.report.terminal.recipes import Detail

_TRIED = ("passed", "failed")
"""Outcomes of a door through which a step was taken, or was attempted."""
_MARK_OF_OUTCOME = {"passed": "good", "failed": "bad"}
"""All other outcomes say nothing good or bad."""
_OUTCOME_IN_WORDS = {
    "passed": "passed",
    "imported": "imported only",
    "unsupported": "unsupported",
    "failed": "failed",
    None: "not measured",
}


class TriedDoor(Protocol):
    """What this file needs to know about a door."""

    @property
    def title(self) -> str:
        """The name that users know: ``transformers.Trainer``."""

    @property
    def outcome(self) -> str | None:
        """``passed``, ``failed``, ``imported`` (no step was taken) or ``unsupported`` (it cannot run here).

        ``None``: the probe ended before it was known.
        """

    @property
    def description(self) -> str:
        """Why it has this outcome: the exception, what is missing, or what was measured."""

    @property
    def matters(self) -> bool:
        """Whether the user trains through it, so that it affects the verdict."""


def tried(
    doors: Sequence[TriedDoor], not_tried: Sequence[str], counted_only: Container[str] = (), why: str = ""
) -> str:
    """Return what was tried and what was not, as a clause of the verdict line without a period.

    ``not_tried`` names further things that no door covers, such as multi-GPU wrappers; it may repeat titles of doors.
    What is in ``counted_only`` is not named but counted, because nothing shows that this user trains so; ``why`` is the
    reason, as a clause: "your code uses none of them".
    A door that was only imported, or that cannot run here, was not tried. A door that failed and does not matter is
    named as well, so that "fit" does not seem to cover it.
    """
    passed = [door.title for door in doors if door.outcome == "passed"]
    broken = [door.title for door in doors if door.outcome == "failed"]
    missed = dict.fromkeys((*(door.title for door in doors if door.outcome not in _TRIED), *not_tried))
    clauses = [f"{enumerated(passed)} {'was' if len(passed) == 1 else 'were'} tried" if passed else "nothing was tried"]
    if broken:
        clauses.append(f"not fit for {enumerated(broken)}")
    named = [title for title in missed if title not in counted_only]
    number = len(missed) - len(named)
    if number == 1:
        named = list(missed)
    if named:
        clauses.append(f"not tried: {', '.join(named)}")
    if number > 1:
        clauses.append(f"{number} other ways to train were not tried, and {why or 'nothing here points to them'}")
    return "; ".join(clauses)


def render(
    doors: Sequence[TriedDoor], marks: Marks, detail: Detail = "normal", not_tried: Sequence[str] = ()
) -> Iterator[Line]:
    """Yield a row for each door that matters, and one line for all others; on request, a row for each door.

    ``not_tried`` names also what no door covers. The verdict line of a good report counts all that was not tried.
    """
    rows = [door for door in doors if door.matters or detail == "all"]
    width = max((len(door.title) for door in rows), default=0)
    yield from (_row(door, marks, detail, width) for door in rows)
    further = [title for title in not_tried if all(door.title != title for door in doors)]
    if detail == "all" and further:
        yield text_line(f"no door leads through: {', '.join(further)}", "dim", indent=4)
    others = [door for door in doors if not door.matters] if detail == "normal" else []
    if others:
        outcomes = {
            words: [door.title for door in others if door.outcome == outcome]
            for outcome, words in _OUTCOME_IN_WORDS.items()
        }
        yield folded_line("other door", outcomes, unnamed=("passed",))


def _row(door: TriedDoor, marks: Marks, detail: Detail, width: int) -> Line:
    kind = _MARK_OF_OUTCOME.get(door.outcome or "", "none")
    if kind == "bad" and not door.matters:
        # This door is not used here, so its failure is not marked as bad.
        kind = "note"
    unused = "" if door.matters or door.outcome != "failed" else "not used here: "
    outcome = door.outcome or _OUTCOME_IN_WORDS[None]
    description = f"{unused}{door.description}"
    if detail == "brief":
        return short_row(marks(kind), door.title, outcome, description)
    return probe_row(marks(kind), door.title, outcome, description, min_width=width)
