"""Finds float16 in the commands of launch scripts."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.linter import change
from vc2doctor.linter.fix.tokens.token import QUANTIZED, TEXTS, Context, Token, shortened
from vc2doctor.linter.model import Edit

_FLOAT16 = re.compile(r"(?<![a-z])(float16|fp16|half|HalfTensor|16-mixed|16-true)(?![a-z])", re.IGNORECASE)
_SWITCH_FLAG = re.compile(r"--(?P<name>fp16|float16|half|use_fp16|use-fp16|fp16_full_eval)(?![\w-])")
_VALUE = re.compile(r"[= ]\s*[\"']?(?P<value>\w+)[\"']?")
_PRECISION_FLAG = re.compile(
    r"(?:--(?P<name>[\w-]*(?:dtype|precision|amp[_-]type))[= ]\s*|(?P<variable>ACCELERATE_MIXED_PRECISION)=)"
    r"[\"']?(?P<value>fp16|float16|half|16-mixed|16-true|16)(?![\w.-])",
    re.IGNORECASE,
)
_OFF = ("false", "0", "no")
_LIBRARY_COMMANDS = ("accelerate", "llamafactory-cli", "swift", "axolotl", "vllm")
_OWN_SWITCH = "a switch of this program: every dtype, region and scaler that follows it is judged where it is written"


class Line(NamedTuple):
    """A line of a command in a script."""

    number: int
    text: str


class Command(NamedTuple):
    """One command, which may go over several lines."""

    script: str
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The command on one line."""
        return " ".join(line.text.rstrip().removesuffix("\\") for line in self.lines)


def commands(script: str, text: str) -> Iterator[Command]:
    """Yield the commands of a shell script. Comments are left out; a line that ends in a backslash goes on."""
    lines: list[Line] = []
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.rstrip("\r")
        if line.lstrip().startswith("#"):
            continue
        lines.append(Line(number, re.sub(r"\s#\s.*$", "", line)))
        if not line.rstrip().endswith("\\"):
            yield Command(script, tuple(lines))
            lines = []
    if lines:
        yield Command(script, tuple(lines))


def find(command: Command, context: Context) -> Iterator[Token]:
    """Yield the tokens of a command."""
    for line in command.lines:
        explained: list[tuple[int, int]] = []
        for match in _SWITCH_FLAG.finditer(line.text):
            value = _VALUE.match(line.text, match.end())
            explained.append(match.span())
            token = _switch(command, line, match, value.group("value") if value else None, context)
            if token is not None:
                yield token
        for match in _PRECISION_FLAG.finditer(line.text):
            explained.append(match.span())
            yield _precision(command, line, match, context)
        if QUANTIZED.search(line.text):
            reason = "a GPTQ, AWQ or Int4 base: its kernels take float16 only. Leave this program in float16."
            yield Token(command.script, line.number, shortened(line.text), refuses=reason, is_obstacle=True)
        yield from _others(command, line, explained)


def _switch(command: Command, line: Line, match: re.Match[str], value: str | None, context: Context) -> Token | None:
    if value is not None and value.lower() in _OFF:
        return None
    start = Token(command.script, line.number, shortened(line.text))
    flag = f"--{match.group('name')}"
    new = flag.replace("fp16", "bf16").replace("float16", "bf16")
    if flag in context.own_flags and (new == flag or new not in context.own_flags):
        return start._replace(stays=_OWN_SWITCH)
    if new == flag or (new not in context.own_flags and not context.parses_trainer_arguments):
        return start._replace(
            refuses=f"it is not known what this program takes instead of {flag}. Say bfloat16 by hand."
        )
    other = re.search(rf"{re.escape(new)}(?![\w-])", command.text)
    if other is not None:
        return _swapped(start, command, line, match, new)
    start_column, end_column = match.span()
    edit = change.replace_span(command.script, (line.number, start_column), (line.number, end_column), new)
    return start._replace(edits=(edit,))


def _swapped(start: Token, command: Command, line: Line, match: re.Match[str], new: str) -> Token:
    """Return the token of a command with both flags: ``--bf16 False --fp16 True`` swaps their names."""
    for other_line in command.lines:
        other = re.search(rf"{re.escape(new)}(?![\w-])", other_line.text)
        value = _VALUE.match(other_line.text, other.end()) if other is not None else None
        if other is not None and value is not None and value.group("value").lower() in _OFF:
            return start._replace(
                edits=(
                    _span(command.script, line, match, new),
                    _span(command.script, other_line, other, match.group()),
                )
            )
    return start._replace(refuses=f"this command has {new} as well, and both cannot be on. Remove {match.group()}.")


def _span(script: str, line: Line, match: re.Match[str], text: str) -> Edit:
    return change.replace_span(script, (line.number, match.start()), (line.number, match.end()), text)


def _precision(command: Command, line: Line, match: re.Match[str], context: Context) -> Token:
    start = Token(command.script, line.number, shortened(line.text))
    new = TEXTS[match.group("value").lower()]
    is_library = any(re.search(rf"(^|[/\s]){name}(\s|$)", command.text) for name in _LIBRARY_COMMANDS)
    is_dtype_by_name = new == "bfloat16" and context.reads_dtype_by_name
    if not (is_library or match.group("variable") or new in context.strings or is_dtype_by_name):
        return start._replace(refuses=f"it is not known whether this program takes {new}. Say bfloat16 by hand.")
    position = (line.number, match.start("value")), (line.number, match.end("value"))
    return start._replace(edits=(change.replace_span(command.script, *position, new),))


def _others(command: Command, line: Line, explained: list[tuple[int, int]]) -> Iterator[Token]:
    """Yield the mentions of float16 that are no known flag."""
    for match in _FLOAT16.finditer(line.text):
        if any(start <= match.start() < end for start, end in explained):
            continue
        start = Token(command.script, line.number, shortened(line.text))
        word = next(each.group() for each in re.finditer(r"\S+", line.text) if each.end() > match.start())
        if "/" in word or re.search(
            r"[\w]-(fp16|half)|(fp16|half)[-.]\w|_(fp16|half)|(fp16|half)_", word, re.IGNORECASE
        ):
            yield start._replace(stays="part of the name of a file or a run")
        else:
            yield start._replace(refuses="it is not known what this float16 decides. Say bfloat16 by hand.")
