"""Reads shell and Slurm scripts: the commands that start training, with their flags and configuration files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from typing import NamedTuple

from vc2doctor.linter.read import formats
from vc2doctor.linter.read.config import Flag, Launch
from vc2doctor.linter.read.formats import FileFormat, Reading
from vc2doctor.linter.read.shell_words import CONDITIONAL, Word, commands_of, words_of

_STARTERS = re.compile(
    r"(^|/)(python[\d.]*|torchrun|deepspeed|accelerate|srun|mpirun|xtuner|swift|axolotl|llamafactory-cli|composer)$"
)
"""Programs that start training programs."""
_TOOLS = {
    "swift": ("sft", "pt", "rlhf"),
    "llamafactory-cli": ("train",),
    "axolotl": ("train",),
    "xtuner": ("train",),
}
"""Tools that train by themselves, without a Python file of the user, with their verbs for training."""
_MODULES_THAT_DO_NOT_TRAIN = ("pip", "venv", "build", "pytest", "wandb")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:\[[@*]\])?(?::?[-=]([^${}]*))?\})")
_EMPTY_COUNTS_AS_UNSET = (":-", ":=")
_ALL_ARGUMENTS = re.compile(r"\$(?:[@*]|\{[@*]\})")
_FUNCTION = re.compile(r"^\s*(?:function\s+[\w-]+|[\w-]+\s*\(\s*\))", re.MULTILINE)
"""The start of a function: in its body ``$1`` and ``$@`` are the function's own arguments."""
_DECLARATIONS = ("export", "local", "declare", "readonly", "typeset")
_FLOW_WORDS = ("then", "else", "do", "time", "exec", "nohup", "sudo", "env", "!", "{")
_OPENING, _CLOSING = ("if", "case", "for", "while", "until"), ("fi", "esac", "done")
_OVERRIDE = re.compile(r"\+{0,2}([A-Za-z]\w*(?:[./]\w+)*)=(.*)", re.DOTALL)
"""A setting that a program takes without dashes: ``trainer.precision=16``."""
_KEY = re.compile(r"[a-z]\w*(\.\w+)*")
"""The name of one whose value is the next word: ``optimizer.max_grad_norm 5``."""

_WRITTEN_FLAG = re.compile(r"(?<![\w-])--[A-Za-z][\w-]*")


class Caller(NamedTuple):
    """What starts a script."""

    variables: Mapping[str, str]
    """Its environment."""
    arguments: tuple[str, ...] = ()
    """The words behind the name of the script."""


def read_launches(script: str, text: str, caller: Caller | None = None) -> tuple[Launch, ...]:
    """Return the commands of a shell script that start training programs.

    Variables are expanded where their value is certain. One that is assigned in only some branches is left as it is
    written, and so is one that comes from a ``caller`` who is not known.
    """
    shell = _Shell(script, caller, has_functions=_FUNCTION.search(text) is not None)
    for words in commands_of(text):
        shell.run(words)
    lines = text.splitlines()
    written_at = _written_at(lines)
    return tuple(
        replace(
            launch,
            cut_line=_cut_line(lines, launch.line),
            flags_written_at={name: written_at[name] for name in launch.flags if name in written_at},
        )
        for launch in shell.launches
    )


def _written_at(lines: Sequence[str]) -> dict[str, int]:
    """Return the first line of a script that has each flag outside of a comment."""
    places: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        for match in () if line.lstrip().startswith("#") else _WRITTEN_FLAG.finditer(line):
            places.setdefault(match[0].replace("-", "_").replace("__", "--", 1), number)
    return places


def launch_of(name: str, words: Sequence[str]) -> Launch | None:
    """Return what a command starts whose words a shell has split and expanded already; ``None``: nothing known."""
    return _launch(name, [Word(word, 1, is_quoted=True) for word in words], None) if words else None


def starter_of(words: Sequence[str]) -> int | None:
    """Return the position of the first word that is a program which starts training programs, or ``None``."""
    return next((position for position, word in enumerate(words) if _STARTERS.search(word)), None)


def _cut_line(lines: list[str], first: int) -> int | None:
    """Return the line of a comment behind a continued line of the command that begins at ``first``.

    The comment ends the command. It matters if a line with a flag follows it, or the comments after it.
    """
    number = first
    while number < len(lines) and lines[number - 1].rstrip().endswith("\\"):
        number += 1
        if lines[number - 1].lstrip().startswith("#"):
            break
    else:
        return None
    rest = (line.strip() for line in lines[number:])
    following = next((line for line in rest if not line.startswith("#")), "")
    return number if following.startswith("--") else None


MAX_VALUE_CHARACTERS = 10_000
"""Of the value of a variable. ``A=$B$B; B=$C$C; …`` doubles it on every line; a longer one is left as it is written."""
MAX_VALUE_WORDS = 1_000
"""Of a variable, or of a command after its variables are expanded."""


class _Shell:
    """What a script has done so far."""

    def __init__(self, script: str, caller: Caller | None, *, has_functions: bool) -> None:
        self._script = script
        self._variables = _given(caller.variables if caller is not None else {})
        self._arguments: tuple[str, ...] | None = None
        """The positional parameters; ``None``: only a run knows them."""
        if caller is not None and not has_functions:
            self._arguments = caller.arguments
        self._uncertain: set[str] = set()
        """Variables that are assigned in a branch or a loop: only a run knows their value."""
        self._depth = 0
        """How many branches and loops are open."""
        self._folder: str | None = None
        self.launches: list[Launch] = []

    def run(self, words: list[Word]) -> None:
        """Take one command into account."""
        is_conditional = words[0].text == CONDITIONAL
        words = self._without_flow_words(words[1:] if is_conditional else words)
        while words and words[0].text in _DECLARATIONS:
            words = [word for word in words[1:] if not word.text.startswith("-")]
        assignments, command = _split_assignments(words)
        if not command:
            for assignment in assignments:
                self._assign(assignment, is_certain=not self._depth and not is_conditional)
            return
        expanded = list(islice((part for word in command for part in self._expand(word)), MAX_VALUE_WORDS))
        if expanded and not self._is_builtin(expanded, is_certain=not self._depth and not is_conditional):
            launch = _launch(self._script, _without_nested_shell(expanded), self._folder)
            if launch is not None:
                unresolved = tuple(word.text for word in expanded if any(mark in word.text for mark in "$`"))
                self.launches.append(replace(launch, unresolved=unresolved))

    def _is_builtin(self, words: list[Word], *, is_certain: bool) -> bool:
        """Return whether a command changes the folder or the arguments of the script, and take it into account."""
        name, *rest = (word.text for word in words)
        if name == "cd" and rest:
            self._folder = rest[0]
        elif name == "shift" or (name == "set" and "--" in rest):
            self._arguments = _changed(self._arguments, name, rest) if is_certain else None
        else:
            return False
        return True

    def _without_flow_words(self, words: list[Word]) -> list[Word]:
        while words and words[0].text in (*_FLOW_WORDS, *_OPENING, *_CLOSING, "elif"):
            word = words[0].text
            self._depth += (word in _OPENING) - (word in _CLOSING)
            if word == "for" and len(words) > 1:
                self._uncertain.add(words[1].text)
            words = words[1:] if word not in ("for", "case") else []
        return words

    def _assign(self, assignment: "_Assignment", *, is_certain: bool) -> None:
        word, name = assignment.value, assignment.name
        if word.elements is not None:
            value = tuple(part for element in word.elements for part in self._expand(element))
        else:
            value = words_of(self._substituted(word.text), word.line)
        if assignment.appends:
            value = (*self._variables.get(name, ()), *value)
        if len(value) > MAX_VALUE_WORDS or sum(len(part.text) for part in value) > MAX_VALUE_CHARACTERS:
            self._uncertain.add(name)
            return
        if is_certain:
            self._uncertain.discard(name)
        if not is_certain and self._variables.get(name) != value:
            self._uncertain.add(name)
        self._variables[name] = value

    def _expand(self, word: Word) -> Iterator[Word]:
        """Yield the words that a word becomes: a variable that is not quoted, or an array, can become several."""
        if self._arguments is not None and _ALL_ARGUMENTS.fullmatch(word.text):
            yield from (Word(argument, word.line, word.is_quoted) for argument in self._arguments)
            return
        match = _VARIABLE.fullmatch(word.text)
        splits = not word.is_quoted or word.text.endswith(("[@]}", "[*]}"))
        words = self._words_of(match) if match is not None and splits else None
        if words is not None:
            yield from words
        else:
            yield word._replace(text=self._substituted(word.text))

    def _words_of(self, match: re.Match[str]) -> tuple[Word, ...] | None:
        """Return the words of a variable; ``None``: only a run knows them, or its default counts instead."""
        name = match.group(1) or match.group(2)
        words = self._variables.get(name) if name not in self._uncertain else None
        return None if not words and _has_default_if_empty(match) else words

    def _substituted(self, text: str) -> str:
        return _VARIABLE.sub(self._value_of, text)

    def _value_of(self, match: re.Match[str]) -> str:
        name, default = match.group(1) or match.group(2), match.group(3)
        words = self._words_of(match)
        if words is not None:
            return " ".join(word.text for word in words)
        if name in self._uncertain:
            return match.group(0)
        if name.isdigit() and name != "0" and self._arguments is not None:
            argument = next(iter(self._arguments[int(name) - 1 :]), "")
            if argument or not _has_default_if_empty(match):
                return argument
        return default if default is not None else match.group(0)


def _given(variables: Mapping[str, str]) -> dict[str, tuple[Word, ...]]:
    """Return the variables that a script starts with."""
    return {name: words_of(value, 1) for name, value in variables.items() if len(value) <= MAX_VALUE_CHARACTERS}


def _changed(arguments: tuple[str, ...] | None, builtin: str, words: list[str]) -> tuple[str, ...] | None:
    """Return the arguments of a script after ``shift [N]`` or ``set -- WORDS``; ``None``: they are not known."""
    if builtin == "set":
        new = words[words.index("--") + 1 :]
        return None if any(mark in word for word in new for mark in "$`") else tuple(new)
    count = words[0] if words else "1"
    return arguments[int(count) :] if arguments is not None and count.isdecimal() else None


def _has_default_if_empty(match: re.Match[str]) -> bool:
    """Return whether a variable has a default that also counts where it is empty: ``${NAME:-default}``."""
    return match.group(3) is not None and any(operator in match.group(0) for operator in _EMPTY_COUNTS_AS_UNSET)


class _Assignment(NamedTuple):
    name: str
    value: Word
    appends: bool
    """``NAME+=value``."""


def _split_assignments(words: list[Word]) -> tuple[list[_Assignment], list[Word]]:
    """Return the assignments that a command starts with, and the command itself."""
    assignments: list[_Assignment] = []
    for position, word in enumerate(words):
        match = _ASSIGNMENT.fullmatch(word.text)
        if match is None:
            return assignments, words[position:]
        value = word._replace(text=match.group(2))
        assignments.append(_Assignment(match.group(1), value, appends=word.text[match.end(1)] == "+"))
    return assignments, []


def _without_nested_shell(words: list[Word]) -> list[Word]:
    """Return the words of a command, with the one that ``bash -c`` runs split into its own words."""
    texts = [word.text for word in words]
    for position, (first, second) in enumerate(pairwise(texts)):
        if second in ("-c", "-lc") and re.search(r"(^|/)(ba|z)?sh$", first) and position + 2 < len(words):
            inner = words[position + 2]
            return [*words[:position], *words_of(inner.text, inner.line)]
    return words


def _launch(script: str, words: list[Word], folder: str | None) -> Launch | None:
    texts = [word.text for word in words]
    starter = next((position for position, text in enumerate(texts) if _STARTERS.search(text)), None)
    if starter is None:
        return None
    found = _tool(texts) or _python_program(texts)
    if found is None:
        return None
    position, program = found
    # The first Python file is the program; others are configurations in Python.
    config_paths = [text for text in texts if text.endswith(formats.config_suffixes()) and not text.startswith("-")]
    config_paths += [text for text in texts[position + 1 :] if text.endswith(".py") and not text.startswith("-")]
    # A wrapper such as srun stands before the launcher itself.
    launcher = [text for text in texts[:position] if _STARTERS.search(text)] or [texts[starter]]
    return Launch(
        script,
        words[0].line,
        program,
        tuple(config_paths),
        dict(_flags(words, position)),
        launcher=launcher[-1].rpartition("/")[2],
        starter=launcher[-1],
        launcher_flags=dict(_flags(words[:position], position)),
        folder=folder,
    )


def _tool(texts: list[str]) -> tuple[int, str] | None:
    """Return where a tool's verb stands, and tool and verb."""
    for position, (first, second) in enumerate(pairwise(texts)):
        if second in _TOOLS.get(first.rpartition("/")[2], ()):
            return position + 1, f"{first.rpartition('/')[2]} {second}"
    return None


def _python_program(texts: list[str]) -> tuple[int, str] | None:
    """Return where the Python program of a command stands, and its path."""
    for position, text in enumerate(texts):
        if text.endswith(".py") and not text.startswith("-"):
            return position, text
    modules = [
        (position + 1, following)
        for position, (text, following) in enumerate(pairwise(texts))
        if text in ("-m", "--module") and re.fullmatch(r"[A-Za-z_][\w.]*", following)
    ]
    if not modules or modules[-1][1] in _MODULES_THAT_DO_NOT_TRAIN:
        return None
    position, name = modules[-1]
    return position, name.replace(".", "/") + ".py"


def _flags(words: list[Word], program: int) -> Iterator[tuple[str, Flag]]:
    for position, word in enumerate(words):
        following = words[position + 1].text if position + 1 < len(words) else None
        value = None if following is None or following.startswith("--") or position + 1 == program else following
        is_behind = position > program
        override = _OVERRIDE.fullmatch(word.text) if is_behind else None
        key = _KEY.fullmatch(word.text) if is_behind else None
        if word.text.startswith("--"):
            name, equals, given_value = word.text[2:].partition("=")
            yield f"--{name.replace('-', '_')}", Flag(given_value if equals else value, word.line)
        elif override is not None:
            yield override.group(1).replace("/", "."), Flag(override.group(2), word.line)
        elif key is not None and value is not None and not value.endswith((".py", ".sh")):
            yield word.text, Flag(value, word.line)


FORMAT = FileFormat(
    suffixes=(".sh", ".bash", ".zsh", ".slurm", ".sbatch", ".job"),
    read=lambda name, text: Reading(launches=read_launches(name, text)),
    kind="script",
)
