"""What is known of the range of a model by its name: no run is needed to say that float16 cannot hold it."""

import re
from collections.abc import Iterator

from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.profile import Maximum

_WORD = re.compile(r"[a-z]+|\d+")


def known(matrix: Matrix) -> tuple[Maximum, ...]:
    """Return all maxima of all profiles, the largest first."""
    found = [maximum for profile in matrix.profiles.values() for maximum in profile.maxima]
    return tuple(sorted(found, key=lambda maximum: -maximum.largest))


def find(matrix: Matrix, name: str) -> tuple[Maximum, ...]:
    """Return the maxima of the models that ``name`` may mean: ``Gemma 3 27B`` is ``google/gemma-3-27b-it``.

    The words and numbers of ``name`` have to be in the model's name, in that order and without a gap.
    """
    wanted = _words(name)
    return tuple(maximum for maximum in known(matrix) if wanted and _holds(_words(maximum.model), wanted))


def describe(maximum: Maximum) -> str:
    """Return what a maximum says of float16, as one sentence."""
    fate = "float16 overflows" if maximum.bits < 0 else "float16 holds what was seen"
    return f"{maximum.model}: {maximum.bits:.1f} bits, {fate} (|x| up to {maximum.largest:g} in {maximum.where})"


def _words(name: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(name.lower()))


def _holds(words: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return any(part == wanted for part in _windows(words, len(wanted)))


def _windows(words: tuple[str, ...], size: int) -> Iterator[tuple[str, ...]]:
    return (words[start : start + size] for start in range(len(words) - size + 1))
