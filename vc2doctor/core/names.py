"""The names of packages that a text mentions."""

import re

from packaging.utils import canonicalize_name

_WORD = re.compile(r"[\w-]+")


def mentioned(text: str) -> frozenset[str]:
    """Return the canonical names of all packages that a text can mention.

    These are its words, and the parts of words with underscores: ``is_torchao_available`` mentions torchao.
    """
    words = _WORD.findall(text)
    parts = (part for word in words for part in (word, *word.split("_")) if part)
    return frozenset(canonicalize_name(part) for part in parts)
