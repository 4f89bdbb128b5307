"""A guess where nothing is known: releases of about the same date were tried together by the people who made them."""

from collections.abc import Collection, Iterator

from vc2doctor.core.versions import version
from vc2doctor.remedies.question import Question
from vc2doctor.remedies.smallest import Remedy

_PARTNERS = ("transformers", "accelerate", "peft", "torch")
"""The packages that trainers are written against, the one whose changes break them most often first."""


def raised_to_date(question: Question, suspects: Collection[str]) -> Remedy | None:
    """Return a change that raises the older one of two packages to the date of the newer one; ``None``: there is none.

    One of the two is among ``suspects``, which an exception names; the other one is what it requires. The result is no
    more than likely: it was neither measured nor shown by the wheels, and its ``reason`` says so.
    """
    for older, newer in _pairs(question, suspects):
        date = question.release_date(newer)
        for text in question.releases(older):
            is_newer = version(text) > version(question.combination.versions[older])
            uploaded = question.matrix.wheels.releases[older][text].date
            if is_newer and uploaded >= date and question.is_solved_by({older: text}):
                own = question.combination.versions[newer]
                reason = f"likely, but not measured: {older} {text} was released on {uploaded}, after {newer} {own}"
                return Remedy(requirements=(f"{older}=={text}",), reason=reason)
    return None


def _pairs(question: Question, suspects: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield an older and a newer package for each suspect and what it requires, by the dates of their releases."""
    for suspect in sorted(name for name in suspects if question.release_date(name)):
        required = {entry.dependency for entry in question.requires if entry.package == suspect}
        for partner in _PARTNERS:
            if partner in required and question.release_date(partner):
                older, newer = sorted((suspect, partner), key=question.release_date)
                # torch depends on the driver of the GPU, and is not changed for a guess.
                if older != "torch" and question.release_date(older) < question.release_date(newer):
                    yield older, newer
