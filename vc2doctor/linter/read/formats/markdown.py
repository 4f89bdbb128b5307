"""Reads the commands in the code blocks of Markdown files: a README often is the only place that starts a program."""

import re
from collections.abc import Iterator
from dataclasses import replace

from vc2doctor.linter.read.config import Launch
from vc2doctor.linter.read.formats import FileFormat, Reading
from vc2doctor.linter.read.formats.shell import read_launches

_FENCE = re.compile(r"^\s*(?P<fence>`{3,}|~{3,})\s*(?P<language>[\w+-]*)")
"""https://spec.commonmark.org/0.31.2/#fenced-code-blocks"""
_SHELLS = ("", "bash", "sh", "shell", "zsh", "console", "shell-session", "commandline", "text")
"""Languages of blocks that can hold commands. Many blocks name none."""
_SPAN = re.compile(r"^\s*(?:[-*>]\s+)?(?P<ticks>`{1,2})(?P<command>(?!`)[^`]*[^`\s])\s*(?P=ticks)\s*$")
"""A line that holds one code span and nothing else."""
_PROMPT = re.compile(r"^(\s*)[$#>]\s(?=\S)")


def read_commands(name: str, text: str) -> tuple[Launch, ...]:
    """Return the commands in the code of a text that start training programs: fenced blocks, and spans on their own.

    Each block is read by itself: a variable that one block sets may be another one's in the next.
    """
    launches = (launch for block in _blocks(text) for launch in read_launches(name, block))
    return tuple(replace(launch, is_documented=True) for launch in launches)


def _blocks(text: str) -> Iterator[str]:
    """Yield the inside of each block that can hold commands, behind as many empty lines as are before it."""
    fence: str | None = None
    language, first, lines = "", 0, list[str]()
    for number, line in enumerate(text.splitlines()):
        match = _FENCE.match(line)
        if fence is None and match is not None:
            fence, language, first, lines = match.group("fence"), match.group("language").lower(), number + 1, []
        elif fence is None and (span := _SPAN.match(line)) is not None:
            yield "\n" * number + _PROMPT.sub(r"\1", span.group("command"))
        elif fence is not None and match is not None and match.group("fence").startswith(fence):
            if language in _SHELLS:
                yield "\n" * first + "\n".join(lines)
            fence = None
        elif fence is not None:
            if lines and line.lstrip().startswith("--") and lines[-1].strip() and not lines[-1].endswith("\\"):
                # Only a backslash was forgotten: no command begins with a flag.
                lines[-1] += " \\"
            lines.append(_PROMPT.sub(r"\1", line))


FORMAT = FileFormat(
    suffixes=(".md", ".markdown"),
    read=lambda name, text: Reading(launches=read_commands(name, text)),
    kind="document",
)
