"""Match patterns that others wrote, in linear time.

Python's ``re`` and the translation of globs into it backtrack: a ``.gitignore`` line of 25 ``a*`` or the symptom
``(a+)+$`` of a matrix takes longer than anyone waits. RE2 (https://github.com/google/re2) does not backtrack.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import re2

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

MAX_PATTERN_LENGTH = 2000
"""Characters of one pattern. A longer one is a mistake or an attack; the longest shipped one has 70."""
MAX_GITIGNORE_LINES = 2000
"""Lines of one ignore file that count. The longest of published projects have about 500, and each line takes 1 ms."""
MAX_GITIGNORE_LINE_LENGTH = 200
"""Characters of one line of an ignore file."""


class PatternError(ValueError):
    """A text is no pattern that RE2 can match, or it is too long."""


def _options() -> Any:  # noqa: ANN401 - re2 has no types
    options = re2.Options()
    # RE2 writes its errors to stderr otherwise.
    options.log_errors = False
    return options


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:  # noqa: ANN401 - re2 has no types
    """Return a regular expression that RE2 matches: without look-arounds and back-references.

    Raises:
        PatternError: the pattern is wrong, or needs what RE2 does not have.
    """
    if len(pattern) > MAX_PATTERN_LENGTH:
        message = f"it has more than {MAX_PATTERN_LENGTH} characters"
        raise PatternError(message)
    try:
        return re2.compile(pattern, _options())
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0] if error.args else error
        message = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise PatternError(message) from error


def is_found(pattern: Any, text: str) -> bool:  # noqa: ANN401 - re2 has no types
    """Return whether a compiled ``pattern`` matches somewhere in ``text``."""
    return pattern.search(_encodable(text)) is not None


def is_whole(pattern: Any, text: str) -> bool:  # noqa: ANN401 - re2 has no types
    """Return whether a compiled ``pattern`` matches all of ``text``."""
    return pattern.fullmatch(_encodable(text)) is not None


def _encodable(text: str) -> str:
    """Return ``text`` without lone surrogates, which RE2 cannot take."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def gitignore(lines: Iterable[str]) -> "GitIgnoreSpec":
    """Return the patterns of an ignore file. As in git, a line that is no pattern matches nothing."""
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - most verbs read no ignore file

    usable = [line for line in lines if len(line) <= MAX_GITIGNORE_LINE_LENGTH][:MAX_GITIGNORE_LINES]
    spec = _gitignore_spec(usable)
    if spec is None:
        # One bad line must not disable the others.
        spec = _gitignore_spec([line for line in usable if _gitignore_spec([line]) is not None])
    return spec if spec is not None else GitIgnoreSpec([])


def _gitignore_spec(lines: list[str]) -> "GitIgnoreSpec | None":
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - most verbs read no ignore file

    try:
        return GitIgnoreSpec.from_lines(lines, backend="re2")
    except (ValueError, re.error, re2.error):
        # pathspec, Python's re (it compiles each line as well) and RE2 refuse different lines.
        return None
