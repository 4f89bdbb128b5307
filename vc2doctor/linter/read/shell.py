"""Shell scripts: the commands that start Python, with the flags and files they pass on."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Launch:
    """One command of a launch script that starts Python."""

    name: str
    line: int
    program: str
    """The Python file as the command names it."""
    configs: tuple[str, ...]
    """The configuration files it names."""
    flags: Mapping[str, tuple[str | None, int]] = field(default_factory=dict)
    """``--bf16 True`` and ``optimizer.max_grad_norm 5``, each with its line; ``None``: a flag without value."""


_PYTHON = re.compile(r"(^|/)(python[\d.]*|torchrun|deepspeed|accelerate|srun|xtuner|swift)$")


def launches(name: str, text: str) -> tuple[Launch, ...]:
    """Return the commands of a shell script that start a Python program."""
    variables: dict[str, str] = {}
    found: list[Launch] = []
    for line, words in _commands(text):
        assigned = re.fullmatch(r"(?:export\s+)?(\w+)=(.*)", words[0][0]) if len(words) == 1 else None
        if assigned:
            variables[assigned.group(1)] = assigned.group(2)
            continue
        expanded = [(_expand(word, variables), at) for word, at in words]
        made = _launch(name, line, expanded)
        if made is not None:
            found.append(made)
    return tuple(found)


def _commands(text: str) -> Iterator[tuple[int, list[tuple[str, int]]]]:
    """Yield each command as its first line and its words, each with its line; continued lines are one command."""
    words: list[tuple[str, int]] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.rstrip()
        if line.lstrip().startswith("#"):
            continue
        continued = line.endswith("\\")
        try:
            parts = shlex.split(line.rstrip("\\"), comments=True)
        except ValueError:
            parts = line.rstrip("\\").split()
        words.extend((part, number) for part in parts)
        if words and not continued:
            yield words[0][1], words
            words = []
    if words:
        yield words[0][1], words


def _expand(word: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: variables.get(found.group(1), found.group(0)), word)


def _launch(name: str, line: int, words: list[tuple[str, int]]) -> Launch | None:
    programs = [word for word, _ in words if word.endswith(".py")]
    modules = [words[at + 1][0] for at, (word, _) in enumerate(words[:-1]) if word == "-m" and "." in words[at + 1][0]]
    starts = any(_PYTHON.search(word) for word, _ in words)
    if not starts or not (programs or modules):
        return None
    program = programs[0] if programs else modules[-1].replace(".", "/") + ".py"
    configs = tuple(word for word, _ in words if word.endswith((".yaml", ".yml", ".json"))) + tuple(programs[1:])
    return Launch(name, line, program, configs, dict(_flags(words)))


def _flags(words: list[tuple[str, int]]) -> Iterator[tuple[str, tuple[str | None, int]]]:
    for at, (word, line) in enumerate(words):
        following = words[at + 1][0] if at + 1 < len(words) else None
        value = None if following is None or following.startswith("--") else following
        if word.startswith("--"):
            key, equals, given = word[2:].partition("=")
            yield f"--{key.replace('-', '_')}", (given if equals else value, line)
        elif re.fullmatch(r"[a-z]\w*(\.\w+)*", word) and value is not None and not value.endswith((".py", ".sh")):
            yield word, (value, line)
