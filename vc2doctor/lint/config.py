"""Configurations as facts: Python modules of settings, YAML, JSON (DeepSpeed) and what launch scripts pass on.

Values are read, never computed: what a name or a call would give is unknown.
"""

import ast
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from vc2doctor.lint.module import Module, last_name

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# A file with none of these words decides no precision, and need not be parsed.
_WORDS = re.compile(r"fp16|bf16|float16|\bamp\b|use_amp|half|precision|grad_norm|clip|dtype", re.IGNORECASE)


class Unknown:
    """A value that only a run would tell."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = Unknown()


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a configuration, with its value and line."""

    key: str
    """Dotted from the top: ``optimizer.max_grad_norm``."""
    value: Any
    line: int


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration file."""

    name: str
    kind: str
    """``python``, ``yaml`` or ``json``."""
    entries: tuple[Entry, ...]

    def find(self, key: str) -> Entry | None:
        """Return the entry of a dotted key, or the only one that ends in it."""
        exact = next((entry for entry in self.entries if entry.key == key), None)
        if exact is not None:
            return exact
        ending = [entry for entry in self.entries if entry.key.endswith(f".{key}")]
        return ending[0] if len(ending) == 1 else None

    def get(self, key: str) -> Any:  # noqa: ANN401 - as the file has it
        """Return the value of a key, ``UNKNOWN`` where there is none."""
        entry = self.find(key)
        return entry.value if entry else UNKNOWN


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


def of_python(module: Module) -> Config | None:
    """Return the settings of a module that holds nothing but settings; ``None``: it is code."""
    body = module.source.tree.body
    allowed = (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.Expr, ast.If)
    if any(not isinstance(statement, allowed) for statement in body) or module.source.cells:
        return None
    assigned = [statement for statement in body if isinstance(statement, ast.Assign)]
    entries: list[Entry] = []
    for statement in assigned:
        if len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
            entries.extend(_python_entries(statement.targets[0].id, statement.value, statement.lineno))
    calls = [call for call in module.calls if last_name(call.node.func) not in ("dict", "join", "path", "get")]
    return Config(module.name, "python", tuple(entries)) if entries and len(calls) <= len(entries) else None


def _python_entries(key: str, value: ast.expr, line: int) -> Iterator[Entry]:
    if isinstance(value, ast.Call) and last_name(value.func) in ("dict", "EasyDict", "edict", "L"):
        for keyword in value.keywords:
            if keyword.arg is not None:
                yield from _python_entries(f"{key}.{keyword.arg}", keyword.value, keyword.value.lineno)
    elif isinstance(value, ast.Dict):
        for name, inner in zip(value.keys, value.values, strict=True):
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield from _python_entries(f"{key}.{name.value}", inner, inner.lineno)
    else:
        yield Entry(key, literal(value), line)


def literal(value: ast.expr) -> Any:  # noqa: ANN401 - as the file has it
    """Return the value of a literal expression, a dtype of torch by its name, and ``UNKNOWN`` for any other."""
    if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id == "torch":
        return f"torch.{value.attr}"
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return UNKNOWN


def of_yaml(name: str, text: str) -> Config | None:
    """Return the settings of a YAML file; ``None``: it says nothing of precision, is no mapping, or cannot be read."""
    if _WORDS.search(text) is None:
        return None
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError, ValueError):
        return Config(name, "yaml", tuple(_by_lines(text)))
    if not isinstance(node, yaml.MappingNode):
        return None
    return Config(name, "yaml", tuple(_yaml_entries("", node, 0)))


def _by_lines(text: str) -> Iterator[Entry]:
    """Yield the plain ``key: value`` lines of a template that is no YAML yet (``path: "a" or "b"``)."""
    above: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        found = re.fullmatch(r"(\s*)([\w.-]+):(?:\s+(.*?))?\s*", line.split(" #")[0])
        if found is None or line.lstrip().startswith("#"):
            continue
        indent = len(found.group(1))
        above = [(depth, key) for depth, key in above if depth < indent]
        value = found.group(3)
        if value:
            plain = {"true": True, "false": False, "null": None}.get(value.lower(), value)
            yield Entry(".".join([*(key for _, key in above), found.group(2)]), plain, number)
        else:
            above.append((indent, found.group(2)))


_DEEPEST = 12


def _yaml_entries(prefix: str, node: yaml.MappingNode, depth: int) -> Iterator[Entry]:
    loader = yaml.SafeLoader("")
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        dotted = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and depth < _DEEPEST:
            yield from _yaml_entries(f"{dotted}.", value, depth + 1)
        elif isinstance(value, yaml.ScalarNode):
            try:
                plain = loader.construct_object(value)
            except (yaml.YAMLError, ValueError):
                plain = value.value
            yield Entry(dotted, plain, value.start_mark.line + 1)


def of_json(name: str, text: str) -> Config | None:
    """Return the settings of a JSON file; ``None``: it is no object, or cannot be read."""
    if _WORDS.search(text) is None:
        return None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    return Config(name, "json", tuple(_json_entries("", data, _Lines(text), 0)))


class _Lines:
    """Finds the lines of keys in the order in which they come; json itself tells none."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1

    def of(self, key: str) -> int:
        found = re.compile(re.escape(json.dumps(key)) + r"\s*:").search(self._text, self._at)
        if found is not None:
            self._line += self._text.count("\n", self._at, found.start())
            self._at = found.start()
        return self._line


def _json_entries(prefix: str, data: dict[str, Any], lines: _Lines, depth: int) -> Iterator[Entry]:
    for key, value in data.items():
        line = lines.of(key)
        if isinstance(value, dict) and depth < _DEEPEST:
            yield from _json_entries(f"{prefix}{key}.", value, lines, depth + 1)
        elif not isinstance(value, dict | list):
            yield Entry(f"{prefix}{key}", value, line)


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
