"""Reads shell scripts: the commands that start Python, with their flags and configuration files."""

import re
import shlex
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from vc2doctor.linter.read import formats
from vc2doctor.linter.read.config import Flag, Launch
from vc2doctor.linter.read.formats import FileFormat, Reading

_PYTHON = re.compile(r"(^|/)(python[\d.]*|torchrun|deepspeed|accelerate|srun|xtuner|swift)$")
_ASSIGNMENT = re.compile(r"(?:export\s+)?(\w+)=(.*)")


class Word(NamedTuple):
    """A word of a command, and the line it is on."""

    text: str
    line: int


def read_launches(script: str, text: str) -> tuple[Launch, ...]:
    """Return the commands of a shell script that start a Python program."""
    variables: dict[str, str] = {}
    launches: list[Launch] = []
    for words in _commands(text):
        assignment = _ASSIGNMENT.fullmatch(words[0].text) if len(words) == 1 else None
        if assignment:
            variables[assignment.group(1)] = assignment.group(2)
            continue
        launch = _launch(script, [Word(_expand(word.text, variables), word.line) for word in words])
        if launch is not None:
            launches.append(launch)
    return tuple(launches)


def _commands(text: str) -> Iterator[list[Word]]:
    """Yield the words of each command. Lines that end in a backslash continue on the next line."""
    words: list[Word] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.rstrip()
        if line.lstrip().startswith("#"):
            continue
        is_continued = line.endswith("\\")
        try:
            parts = shlex.split(line.rstrip("\\"), comments=True)
        except ValueError:
            # A quote that ends on a later line.
            parts = line.rstrip("\\").split()
        words.extend(Word(part, number) for part in parts)
        if words and not is_continued:
            yield words
            words = []
    if words:
        yield words


def _expand(text: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda match: variables.get(match.group(1), match.group(0)), text)


def _launch(script: str, words: list[Word]) -> Launch | None:
    texts = [word.text for word in words]
    programs = [text for text in texts if text.endswith(".py")]
    modules = [following for text, following in pairwise(texts) if text == "-m" and "." in following]
    if not any(_PYTHON.search(text) for text in texts) or not (programs or modules):
        return None
    program = programs[0] if programs else modules[-1].replace(".", "/") + ".py"
    # The first Python file is the program; others are configurations in Python.
    config_paths = (*(text for text in texts if text.endswith(formats.config_suffixes())), *programs[1:])
    return Launch(script, words[0].line, program, config_paths, dict(_flags(words)))


def _flags(words: list[Word]) -> Iterator[tuple[str, Flag]]:
    for position, word in enumerate(words):
        following = words[position + 1].text if position + 1 < len(words) else None
        value = None if following is None or following.startswith("--") else following
        if word.text.startswith("--"):
            name, equals, given_value = word.text[2:].partition("=")
            yield f"--{name.replace('-', '_')}", Flag(given_value if equals else value, word.line)
        elif re.fullmatch(r"[a-z]\w*(\.\w+)*", word.text) and value is not None and not value.endswith((".py", ".sh")):
            yield word.text, Flag(value, word.line)


FORMAT = FileFormat(
    suffixes=(".sh", ".bash", ".slurm", ".sbatch"),
    read=lambda name, text: Reading(launches=read_launches(name, text)),
    is_script=True,
)
