"""A guess where nothing is known: releases of about the same date were tried together by the people who made them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vc2doctor.core.versions import version
from vc2doctor.remedies.question import Question
from vc2doctor.remedies.search import smallest_changes
from vc2doctor.remedies.smallest import Remedy, pins

MAX_CANDIDATES = 4
"""Releases that are tried: each search takes up to a quarter of a second."""
_PARTNERS = ("transformers", "accelerate", "peft")
"""The packages that trainers are written against, the one whose changes break them most often first."""


def raised_to_date(question: Question, suspects: Sequence[str]) -> Remedy | None:
    """Return a change that raises the older one of two packages to the date of the newer one; ``None``: there is none.

    One of the two is among ``suspects``, the likeliest first, and requires the other one. It was written against
    releases of the other that were there before it. The result is no more than likely: it was neither measured nor
    shown by the wheels, and its ``reason`` says so.
    """
    for requirer, required in _pairs(question, suspects):
        # Of two releases of one day, the one that is required is raised.
        older, newer = sorted((required, requirer), key=question.release_date)
        day, later = question.release_date(newer), list(_later(question, older))
        if older == requirer:
            when, candidates = "after", [(text, date) for text, date in later if date >= day]
        else:
            when, candidates = "before", [(text, date) for text, date in reversed(later) if date <= day]
        found = _first_that_solves(question, older, candidates)
        if found is not None:
            raised = f"{older} {found.text} was released on {found.date}"
            reason = f"likely, but not measured: {raised}, {when} {newer} {question.combination.versions[newer]}"
            return Remedy(requirements=pins(found.changes), reason=reason)
    return None


def _pairs(question: Question, suspects: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each suspect with what it requires, if the dates of both releases are known."""
    for suspect in (name for name in suspects if question.release_date(name)):
        required = {entry.dependency for entry in question.requires if entry.package == suspect}
        # torch depends on the driver of the GPU, and is not changed for a guess.
        yield from (
            (suspect, partner) for partner in _PARTNERS if partner in required and question.release_date(partner)
        )


def _later(question: Question, package: str) -> Iterator[tuple[str, str]]:
    """Yield the releases after the installed one, with their dates, the oldest first."""
    installed = version(question.combination.versions[package])
    releases = question.matrix.wheels.releases[package]
    yield from ((text, releases[text].date) for text in question.releases(package) if version(text) > installed)


class _Found(NamedTuple):
    """A release of one package, with all changes that it needs."""

    text: str
    date: str
    changes: dict[str, str]


def _first_that_solves(question: Question, package: str, candidates: Sequence[tuple[str, str]]) -> _Found | None:
    """Return the first of some releases that the rest allows, with what has to change beside it."""
    for text, date in candidates[:MAX_CANDIDATES]:
        goal = question.goal.model_copy(update={"wanted": {**question.goal.wanted, package: f"=={text}"}})
        changes = smallest_changes(question.model_copy(update={"goal": goal}), limit=1)
        if changes:
            return _Found(text, date, changes[0])
    return None
