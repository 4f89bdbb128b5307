"""Known activation ranges of models, by name: they show without a run that float16 cannot hold a model."""

import re

from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.profile import Maximum

_WORD = re.compile(r"[a-z]+|\d+")


def known(matrix: Matrix) -> tuple[Maximum, ...]:
    """Return the maxima of all profiles, the largest first."""
    maxima = [maximum for profile in matrix.profiles.values() for maximum in profile.maxima]
    return tuple(sorted(maxima, key=lambda maximum: -maximum.largest))


def find(matrix: Matrix, name: str) -> tuple[Maximum, ...]:
    """Return the maxima of the models that ``name`` may mean: ``Gemma 3 27B`` finds ``google/gemma-3-27b-it``.

    The words and numbers of ``name`` must appear in the model's name, in the same order and without a gap.
    """
    wanted = _words(name)
    return tuple(maximum for maximum in known(matrix) if wanted and _has_sequence(_words(maximum.model), wanted))


def describe(maximum: Maximum) -> str:
    """Return one sentence that says whether float16 holds the values of the model's forward pass."""
    conclusion = "float16 overflows" if maximum.bits < 0 else "float16 holds the largest known value of a forward pass"
    return f"{maximum.model}: {maximum.bits:.1f} bits, {conclusion} (|x| up to {maximum.largest:g} in {maximum.where})"


def _words(name: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(name.lower()))


def _has_sequence(words: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    starts = range(len(words) - len(wanted) + 1)
    return any(words[start : start + len(wanted)] == wanted for start in starts)
