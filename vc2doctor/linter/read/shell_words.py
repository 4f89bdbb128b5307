"""Splits shell scripts into commands of words, with the line of each word. Nothing is run."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_SEPARATORS = ";&|()"
CONDITIONAL = "&&"
"""The first word of a command that runs only if the one before it succeeded, or failed."""
_CLOSING = {"(": ")", "{": "}"}


class Word(NamedTuple):
    """A word of a command."""

    text: str
    line: int
    is_quoted: bool = False
    """Whether a quote is part of the word: the shell does not split what it expands to."""
    elements: tuple["Word", ...] | None = None
    """The elements of an array, for ``NAME=(a b)``; ``None``: the word is no such assignment."""


def commands_of(text: str) -> Iterator[list[Word]]:
    """Yield the words of each command.

    A backslash at the end of a line continues the command, and quotes may span lines. What follows ``;``, ``&&``,
    ``||`` and ``|`` is another command, and so is the inside of a subshell. Behind ``&&`` and ``||`` the first word is
    ``CONDITIONAL``.
    """
    lexer = _Lexer(text)
    while not lexer.is_at_end:
        words = lexer.command()
        if words:
            yield words


def words_of(text: str, line: int) -> tuple[Word, ...]:
    """Return the words of a text that starts on ``line``, as the shell splits the value of a variable."""
    return tuple(
        Word(part, line + offset) for offset, row in enumerate(text.split("\n")) for part in row.rstrip("\\").split()
    )


@dataclass
class _Lexer:
    text: str
    position: int = 0
    line: int = 1
    _is_conditional: bool = False
    """Whether ``&&`` or ``||`` came before the next command."""
    _part: list[str] = field(default_factory=list)
    """The characters of the word that is being read."""

    @property
    def is_at_end(self) -> bool:
        return self.position >= len(self.text)

    def _next(self) -> str:
        character = self.text[self.position]
        self.position += 1
        self.line += character == "\n"
        return character

    def _peek(self) -> str:
        return self.text[self.position] if not self.is_at_end else ""

    def command(self) -> list[Word]:
        """Read the words up to the end of a command."""
        words = [Word(CONDITIONAL, self.line)] if self._is_conditional else []
        self._is_conditional = False
        while not self.is_at_end:
            character = self._peek()
            if character == "\n" or character in _SEPARATORS:
                self._next()
                self._is_conditional = character in "&|" and self._peek() == character
                if self._is_conditional:
                    self._next()
                break
            if character == "#":
                self._skip_line()
            elif character.isspace():
                self._next()
            elif not self._continues_line():
                words.append(self._word())
        return words

    def _skip_line(self) -> None:
        while not self.is_at_end and self._peek() != "\n":
            self._next()

    def _continues_line(self) -> bool:
        """Skip a backslash with only blanks behind it, and the end of its line. The blanks are an oversight."""
        if self._peek() != "\\":
            return False
        end = self.position + 1
        while end < len(self.text) and self.text[end] in " \t\r":
            end += 1
        if end < len(self.text) and self.text[end] != "\n":
            return False
        while self.position <= end and not self.is_at_end:
            self._next()
        return True

    def _word(self) -> Word:
        line, is_quoted = self.line, False
        self._part = []
        while not self.is_at_end:
            character = self._peek()
            if character.isspace() or (character in _SEPARATORS and not self._is_redirection()):
                break
            if character == "\\" and self._continues_line():
                break
            is_quoted |= character in "\"'"
            self._read_part()
        text = "".join(self._part)
        if self._peek() == "(" and text.endswith("="):
            return Word(text, line, is_quoted, tuple(self._elements()))
        return Word(text, line, is_quoted)

    def _is_redirection(self) -> bool:
        """Return whether an ``&`` belongs to a redirection: ``2>&1``."""
        return self._peek() == "&" and bool(self._part) and self._part[-1] in "<>"

    def _read_part(self) -> None:
        character = self._next()
        if character == "'":
            self._read_until("'")
        elif character == '"':
            self._read_double_quotes()
        elif character == "`":
            self._part.append("`")
            self._read_until("`")
            self._part.append("`")
        elif character == "\\":
            self._part.append(self._next() if not self.is_at_end else "")
        else:
            self._part.append(character)
            if character == "$" and self._peek() in _CLOSING:
                self._read_nested()

    def _read_until(self, end: str) -> None:
        while not self.is_at_end:
            character = self._next()
            if character == end:
                break
            self._part.append(character)

    def _read_double_quotes(self) -> None:
        while not self.is_at_end:
            character = self._next()
            if character == '"':
                break
            if character == "\\" and not self.is_at_end and self._peek() in '"$`\\':
                character = self._next()
            self._part.append(character)
            if character == "$" and self._peek() in _CLOSING:
                self._read_nested()

    def _read_nested(self) -> None:
        """Read ``(…)`` or ``{…}`` behind a dollar sign as it is written, without its quotes."""
        opening = self._next()
        closing = _CLOSING[opening]
        self._part.append(opening)
        depth = 1
        while depth and not self.is_at_end:
            character = self._next()
            depth += (character == opening) - (character == closing)
            if character != '"':
                self._part.append(character)

    def _elements(self) -> Iterator[Word]:
        """Yield the elements of an array. They may be on several lines, with comments between."""
        self._next()
        while not self.is_at_end:
            character = self._peek()
            if character == ")":
                self._next()
                return
            if character == "#":
                self._skip_line()
            elif character.isspace() or character in _SEPARATORS:
                self._next()
            elif not self._continues_line():
                yield self._word()
