"""Commands as text for a shell. A word that would send something else to the terminal is escaped, not only quoted."""

import shlex
from collections.abc import Iterable

from vc2doctor.core.printing import is_printable


def join(words: Iterable[str]) -> str:
    """Return ``words`` as one command for bash, zsh or ksh."""
    return " ".join(map(quote, words))


def quote(word: str) -> str:
    r"""Return ``word`` as one word for a shell: ``$'nu\xff'`` if it holds control characters or bytes that are no text.

    The form with ``$`` stands in POSIX since 2024 (XCU 2.2.4).
    """
    if is_printable(word):
        return shlex.quote(word)
    try:
        data = word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # A lone surrogate that stands for no byte: no file has such a name.
        data = word.encode("utf-8", "surrogatepass")
    return f"$'{''.join(map(_escaped, data))}'"


def _escaped(byte: int) -> str:
    character = chr(byte)
    if character in "\\'":
        return f"\\{character}"
    # Three octal digits: after \x, a shell would take a following letter of the word for a digit.
    return character if character.isascii() and character.isprintable() else f"\\{byte:03o}"
