"""Text with styles. rich draws it on a terminal, and is imported only there: a report in a file or a pipe is plain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.text import Text as RichText

Part = str | tuple[str, str]
"""A text, or a text and its style in rich's words."""


class Text:
    """Parts of a line, each with a style."""

    def __init__(self, text: str = "", style: str = "") -> None:
        self._parts: tuple[tuple[str, str], ...] = ((text, style),) if text else ()

    @classmethod
    def assemble(cls, *parts: Part) -> Text:
        """Return a text of several parts."""
        text = cls()
        text._parts = tuple((part, "") if isinstance(part, str) else part for part in parts)
        return text

    @property
    def plain(self) -> str:
        """The text without its styles."""
        return "".join(text for text, _ in self._parts)

    def changed(self, change: Callable[[str], str]) -> Text:
        """Return this text with ``change`` applied to the text of each part."""
        return Text.assemble(*((change(text), style) for text, style in self._parts))

    def to_rich(self) -> RichText:
        """Return this text for rich."""
        from rich.text import Text as RichText  # noqa: PLC0415 - slow, and only a terminal needs it

        return RichText.assemble(*self._parts)
