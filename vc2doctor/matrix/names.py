"""Tell a misspelled name of a package that the matrix judges from the name of another package."""

import difflib
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from packaging.utils import canonicalize_name

from vc2doctor.core.errors import DoctorError

MAX_EDITS = ((3, 0), (7, 1))
"""Up to the length of a name, in letters: how many letters a misspelling of it has wrong. Short names have neighbors
that are names of their own."""
MAX_EDITS_OF_LONG_NAME = 2
"""The same, for a name that is longer than the last of these."""
MAX_LISTED = 5
"""Misspelled names in one message; the others are counted."""

NICKNAMES = {
    "bnb": "bitsandbytes",
    "flash-attention": "flash-attn",
    "hf-hub": "huggingface-hub",
    "hugging-face": "huggingface-hub",
    "huggingface": "huggingface-hub",
    "pytorch": "torch",
}
"""What people call a package; the index has no package of that name, or one that only refuses to be installed."""

NAMESAKES = frozenset(
    {
        "bpython",
        "ctransformers",
        "cython",
        "dataset",
        "datasette",
        "deepspeech",
        "flash-attn-3",
        "flash-attn-4",
        "ipython",
        "ktransformers",
        "torchio",
        "torchx",
        "trlx",
        "x-transformers",
    }
)
"""Packages of their own whose names are close to one that the matrix judges."""


class MisspelledNameError(DoctorError):
    """A name is none that the matrix judges, and it is close to one."""


def refuse_misspelled(names: Iterable[str], modeled: AbstractSet[str]) -> None:
    """Check that no name is a misspelling of a name in ``modeled``.

    Raises:
        MisspelledNameError: one is. The message gives the suggestion for each.
    """
    intended = {name: intended_name(name, modeled) for name in names}
    misspelled = {name: suggestion for name, suggestion in intended.items() if suggestion}
    if not misspelled:
        return
    listed = [f"{name} (did you mean {suggestion}?)" for name, suggestion in misspelled.items()][:MAX_LISTED]
    more = f" and {len(misspelled) - MAX_LISTED} more" if len(misspelled) > MAX_LISTED else ""
    message = (
        f"the matrix does not judge {', '.join(listed)}{more}. Correct the spelling."
        " Other packages are not judged; leave them out."
    )
    raise MisspelledNameError(message)


def intended_name(name: str, modeled: AbstractSet[str]) -> str | None:
    """Return the name in ``modeled`` that ``name`` misspells; ``None``: it is one of them, or far from all of them."""
    canonical_name = canonicalize_name(name)
    if canonical_name in modeled or canonical_name in NAMESAKES:
        return None
    if NICKNAMES.get(canonical_name) in modeled:
        return NICKNAMES[canonical_name]
    close = [candidate for candidate in sorted(modeled) if _is_close(canonical_name, candidate)]
    # Of several close names, the most similar one is the likeliest.
    return max(close, key=lambda candidate: _similarity(canonical_name, candidate), default=None)


def _is_close(name: str, candidate: str) -> bool:
    letters, wanted = name.replace("-", ""), candidate.replace("-", "")
    limit = next((edits for length, edits in MAX_EDITS if len(wanted) <= length), MAX_EDITS_OF_LONG_NAME)
    if abs(len(letters) - len(wanted)) > limit:
        return False
    # Letters in another order (`tlr`) are a slip of the fingers even in the shortest name.
    is_swapped = sorted(letters) == sorted(wanted) and letters[:1] == wanted[:1]
    return letters == wanted or is_swapped or _edits(letters, wanted) <= limit


def _edits(first: str, second: str) -> int:
    """Return how many letters must be added, removed, replaced or swapped with their neighbor."""
    before: list[int] = []
    previous = list(range(len(second) + 1))
    for row, letter in enumerate(first, start=1):
        current = [row]
        for column, other in enumerate(second, start=1):
            edits = min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (letter != other))
            if row > 1 and column > 1 and letter == second[column - 2] and other == first[row - 2]:
                edits = min(edits, before[column - 2] + 1)
            current.append(edits)
        before, previous = previous, current
    return previous[-1]


def _similarity(name: str, candidate: str) -> float:
    return difflib.SequenceMatcher(None, name, candidate).ratio()
