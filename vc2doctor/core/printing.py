"""Make text printable. What a target, a file or a name of a file says must not send commands to a terminal.

This is done once, where text leaves the doctor: see ``cli/output.py``, ``report/terminal/lines.py`` and
``report/formats/json.py``.
"""

import re
import unicodedata

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_SURROGATE = re.compile("[\ud800-\udfff]")
_WORKFLOW_COMMAND = re.compile(r"^\s*::|##\[", re.MULTILINE)
_WHITESPACE = "\n\t"
_PATCH_WHITESPACE = "\n\t\f"
"""A form feed separates pages of source code, and moves no cursor back."""
_MAX_BASIC = 0xFFFF


def is_printable(text: str) -> bool:
    """Return whether ``text`` is one line that a terminal shows as it is."""
    return all(map(_is_shown, text))


def printable(text: str) -> str:
    """Return ``text`` with every control character replaced, except for line breaks and tabs.

    Also replaced are characters that change the direction or the order of text, and bytes of a file name that are not
    text (lone surrogates).
    """
    return _replaced(text, _WHITESPACE)


def printable_patch(text: str) -> str:
    r"""Return a patch with every control character replaced that ``git apply`` does not need: ``\r\n`` stays."""
    return "\r\n".join(_replaced(part, _PATCH_WHITESPACE) for part in text.split("\r\n"))


def without_workflow_commands(text: str) -> str:
    """Return ``text`` with what GitHub Actions would obey replaced: lines that begin with ``::``, and every ``##[``.

    The length stays the same. https://github.com/actions/runner: ``ActionCommand.cs``
    """
    return _WORKFLOW_COMMAND.sub(lambda match: re.sub("[:#]", _REPLACEMENT, match[0]), text)


def escaped_json(text: str) -> str:
    r"""Return a JSON text with every character escaped (``\u009b``) that is not printable: the value stays the same.

    Outside of its strings JSON has no such characters, except for line breaks.
    """
    if text.isascii():
        return text
    return "".join(
        character if character == "\n" or _is_shown(character) else _json_escape(character) for character in text
    )


def without_surrogates(text: str) -> str:
    """Return ``text`` as it can be encoded: bytes of a file name that are not text are replaced."""
    return text if text.isascii() else _SURROGATE.sub(_REPLACEMENT, text)


def _replaced(text: str, kept: str) -> str:
    if text.isprintable():
        return text
    return "".join(character if character in kept or _is_shown(character) else _REPLACEMENT for character in text)


def _is_shown(character: str) -> bool:
    # Zl and Zp are line and paragraph separators: some terminals begin a new line there.
    return " " <= character <= "~" or (
        unicodedata.category(character)[0] != "C" and unicodedata.category(character) not in ("Zl", "Zp")
    )


def _json_escape(character: str) -> str:
    number = ord(character)
    if number <= _MAX_BASIC:
        return f"\\u{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
