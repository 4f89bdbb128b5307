"""A guess where nothing is known: releases of about the same date were tried together by the people who made them."""

from collections.abc import Collection, Iterable, Iterator

from vc2doctor.core.versions import version
from vc2doctor.remedies.question import Question
from vc2doctor.remedies.smallest import Remedy

_PARTNERS = ("transformers", "accelerate", "peft")
"""The packages that trainers are written against, the one whose changes break them most often first."""


def raised_to_date(question: Question, suspects: Collection[str]) -> Remedy | None:
    """Return a change that raises the older one of two packages to the date of the newer one; ``None``: there is none.

    One of the two is among ``suspects``, which an exception names, and requires the other one. It was written against
    releases of the other that were there before it. The result is no more than likely: it was neither measured nor
    shown by the wheels, and its ``reason`` says so.
    """
    for requirer, required in _pairs(question, suspects):
        dates = {name: question.release_date(name) for name in (requirer, required)}
        if dates[requirer] < dates[required]:
            candidates = [(text, date) for text, date in _later(question, requirer) if date >= dates[required]]
            change = _first_that_solves(question, requirer, candidates)
            other, when = required, "after"
        else:
            candidates = [(text, date) for text, date in _later(question, required) if date <= dates[requirer]]
            change = _first_that_solves(question, required, candidates[::-1])
            other, when = requirer, "before"
        if change is not None:
            name, text, date = change
            own = question.combination.versions[other]
            reason = f"likely, but not measured: {name} {text} was released on {date}, {when} {other} {own}"
            return Remedy(requirements=(f"{name}=={text}",), reason=reason)
    return None


def _pairs(question: Question, suspects: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each suspect with what it requires, if the dates of both releases are known."""
    for suspect in sorted(name for name in suspects if question.release_date(name)):
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


def _first_that_solves(
    question: Question, package: str, candidates: Iterable[tuple[str, str]]
) -> tuple[str, str, str] | None:
    solving = ((package, text, date) for text, date in candidates if question.is_solved_by({package: text}))
    return next(solving, None)
