"""Reads a command that starts training: which interpreter it uses, and which programs it starts. Nothing is run.

What cannot be read is said in words, so that no verdict seems to cover it.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vc2doctor.core import reading
from vc2doctor.core.executables import is_executable
from vc2doctor.linter.read.config import Launch
from vc2doctor.linter.read.formats.shell import Caller, launch_of, read_launches, starter_of
from vc2doctor.linter.read.shell_words import CONDITIONAL, commands_of

COMMAND_NAME = "<command>"
"""Stands for the command line where a launch script would be named."""
MAX_SCRIPT_BYTES = 256 * 1024
MAX_NESTED = 4
"""How many wrappers and shells are looked through: ``srun nice bash train.sh``."""
MAX_UNRESOLVED = 3
"""Words of a script's command that are named because only a run knows them."""
_PYTHON = re.compile(r"python[\d.]*")
_SHELLS = ("sh", "bash", "zsh", "dash", "ksh")
_WRAPPERS = (
    *("env", "nohup", "nice", "ionice", "stdbuf", "time", "setsid", "numactl", "taskset", "timeout", "chrt"),
    *("srun", "mpirun", "mpiexec"),
)
"""Programs that start the command behind their own options, with the interpreter that ``PATH`` says."""
_OTHER_MACHINES = ("srun", "mpirun", "mpiexec")
_OWN_INTERPRETER = ("uv", "uvx", "poetry", "pdm", "hatch", "pixi", "conda", "mamba", "micromamba", "pipenv", "rye")
"""Programs that choose the environment of the command themselves."""
_CONTAINERS = ("docker", "podman", "singularity", "apptainer", "enroot")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_EXEC_LINE = re.compile(r"^'''exec' \"?([^\"\n]+?)\"? \"\$0\"", re.MULTILINE)
"""The second line of a console script of pip or uv whose interpreter has a long path or one with spaces."""
_CHANGES_ENVIRONMENT = ("source", ".", "conda", "mamba", "micromamba", "module", "ml", "spack", "eval")
_CHANGED_VARIABLES = ("PATH=", "VIRTUAL_ENV=", "CONDA_PREFIX=", "PYTHONHOME=")
_ACTIVATE = re.compile(r"(.*)/bin/activate")
_NO_PYTHON = ("--no-python", "--no_python")


class CommandReading(NamedTuple):
    """What a command starts, as far as it can be read."""

    python: str | None
    """The interpreter that the command would use; ``None``: it is not known."""
    reason: str
    """How the interpreter follows from the command, or why it is not known."""
    launches: tuple[Launch, ...] = ()
    """The programs that it starts. Those of a shell script are read from the script."""
    script: Path | None = None
    """The shell script that ``launches`` are in."""
    unread: tuple[str, ...] = ()
    """What cannot be read, in sentences."""
    is_direct: bool = False
    """Whether the command itself names the program, which starts on this machine and in this folder."""


class _Python(NamedTuple):
    python: str | None
    reason: str


def read(words: Sequence[str], folder: Path, variables: Mapping[str, str]) -> CommandReading:
    """Return what a command starts that is run in ``folder`` with the environment ``variables``."""
    return _Reader(folder, variables).read(list(words))


class _Reader:
    def __init__(self, folder: Path, variables: Mapping[str, str], depth: int = 0) -> None:
        self._folder = folder
        self._variables = variables
        self._depth = depth

    def read(self, words: list[str]) -> CommandReading:
        """Return what a command starts."""
        name = os.path.basename(words[0])  # noqa: PTH119 - a word, which may be no path
        if self._depth >= MAX_NESTED:
            return CommandReading(None, f"{name} is started by too many other programs to be read")
        if name in _WRAPPERS:
            return self._wrapped(name, words[1:])
        if name in (*_OWN_INTERPRETER, *_CONTAINERS):
            what = "runs in an image of its own" if name in _CONTAINERS else "chooses the environment itself"
            return CommandReading(None, f"{name} {what}, which cannot be read")
        if name in _SHELLS:
            return self._shell(name, words[1:])
        path = self._which(words[0])
        interpreter = self._shebang(path) if path is not None else None
        if interpreter is not None and os.path.basename(interpreter[0]) in _SHELLS and path is not None:  # noqa: PTH119
            return self._script(Path(path), words[1:])
        found = self.python_of(words[0])
        launch = launch_of(COMMAND_NAME, ["python", *words] if words[0].endswith(".py") else words)
        unread = tuple(self._unread(words, launch))
        launches = (launch,) if launch is not None else ()
        return CommandReading(found.python, found.reason, launches, unread=unread, is_direct=not unread)

    def _below(self, variables: Mapping[str, str]) -> "_Reader":
        return _Reader(self._folder, variables, self._depth + 1)

    def _wrapped(self, name: str, words: list[str]) -> CommandReading:
        """Return what the command behind a wrapper's own options starts."""
        variables = dict(self._variables)
        for position, word in enumerate(words):
            assignment = _ASSIGNMENT.fullmatch(word)
            if name == "env" and assignment is not None:
                variables[assignment[1]] = assignment[2]
            elif not word.startswith("-") and self._is_program(word):
                reading_ = self._below(variables).read(words[position:])
                is_direct = reading_.is_direct and name not in _OTHER_MACHINES and not _changes_folder(words[:position])
                return reading_._replace(unread=(*_of_wrapper(name), *reading_.unread), is_direct=is_direct)
        return CommandReading(None, f"the command that {name} starts cannot be read")

    def _is_program(self, word: str) -> bool:
        name = os.path.basename(word)  # noqa: PTH119
        known = (*_SHELLS, *_WRAPPERS, *_OWN_INTERPRETER, *_CONTAINERS)
        return name in known or starter_of([word]) is not None or ("/" in word and self._which(word) is not None)

    def _shell(self, name: str, words: list[str]) -> CommandReading:
        """Return what a shell starts: the text behind ``-c``, or a script."""
        for position, word in enumerate(words):
            if re.fullmatch(r"-[a-z]*c", word):
                text = words[position + 1] if position + 1 < len(words) else ""
                # The word behind the text is $0.
                return self._shell_text(COMMAND_NAME, text, words[position + 3 :])
            if not word.startswith(("-", "+")):
                return self._script(self._folder / word, words[position + 1 :])
        return CommandReading(None, f"{name} reads its commands from standard input, which cannot be read before")

    def _script(self, path: Path, arguments: Sequence[str]) -> CommandReading:
        try:
            text = reading.read_text_leniently(path, MAX_SCRIPT_BYTES)
        except reading.ReadError as error:
            return CommandReading(None, str(error))
        return self._shell_text(str(path), text, arguments)._replace(script=path)

    def _shell_text(self, name: str, text: str, arguments: Sequence[str]) -> CommandReading:
        launches = read_launches(name, text, Caller(self._variables, tuple(arguments)))
        shown = os.path.basename(name)  # noqa: PTH119
        if not launches:
            reason = f"{shown} starts nothing that is known, or only with variables that a run decides"
            return CommandReading(None, reason)
        found = self._python_of_script(shown, text, launches)
        return CommandReading(found.python, found.reason, launches, unread=tuple(_unresolved(shown, launches)))

    def _python_of_script(self, name: str, text: str, launches: tuple[Launch, ...]) -> _Python:
        activated, change = None, None
        for words in commands_of(text):
            texts = [word.text for word in words if word.text != CONDITIONAL]
            if len(texts) > 1 and texts[0] in ("source", ".") and (match := _ACTIVATE.fullmatch(texts[1])):
                activated = match[1]
            elif _changes_environment(texts):
                change = f"{name}:{words[0].line} ({' '.join(texts[:3])})"
        if change is not None:
            return _Python(None, f"{change} can change the environment, so only a run knows the interpreter")
        if activated is not None:
            python = self._folder / activated / "bin" / "python"
            if not python.is_file():
                return _Python(None, f"{name} activates {activated}, which cannot be found from here")
            return _Python(str(python), f"{name} activates {activated}")
        pythons = dict.fromkeys(self.python_of(launch.starter) for launch in launches)
        first, *others = pythons
        if any(other.python != first.python for other in others):
            return _Python(None, f"{name} uses several interpreters")
        return first._replace(reason=f"{first.reason}, as {name} starts it")

    def python_of(self, word: str) -> _Python:
        """Return the interpreter that runs a program: itself, or the one in the first line of a console script."""
        path = self._which(word)
        if path is None:
            return _Python(None, f"there is no program {word} that can be run")
        if _PYTHON.fullmatch(os.path.basename(word)):  # noqa: PTH119
            return _Python(path, f"{word} is {path}" if path != word else "the command starts it")
        override = self._variables.get("PYTHON_EXEC")
        if override and os.path.basename(word) == "torchrun":  # noqa: PTH119
            # torch.distributed.run starts its workers with it.
            return _Python(self._which(override), f"torchrun starts its workers with PYTHON_EXEC={override}")
        interpreter = self._shebang(path)
        if interpreter is None:
            return _Python(None, f"{path} does not say which interpreter it uses")
        python = self._which(interpreter[0])
        if python is None or not _PYTHON.fullmatch(os.path.basename(python)):  # noqa: PTH119
            return _Python(None, f"{path} is run by {interpreter[0]}, which is no Python that can be found")
        return _Python(python, f"the first line of {path} names it")

    def _which(self, word: str) -> str | None:
        """Return the file that is run for a word, absolute; ``None``: there is none."""
        if "/" in word:
            path = os.path.normpath(self._folder / word)
            return path if os.path.isfile(path) and is_executable(path) else None  # noqa: PTH113
        found = shutil.which(word, path=self._variables.get("PATH"))
        return os.path.abspath(found) if found is not None else None  # noqa: PTH100 - links make the environment

    def _shebang(self, path: str) -> tuple[str, ...] | None:
        """Return the words of the first line of a script behind ``#!``, without ``env``; ``None``: it has none."""
        try:
            text = reading.read_start(path, 4096).decode("utf-8", "surrogateescape")
        except reading.ReadError:
            return None
        first = text.partition("\n")[0]
        if not first.startswith("#!"):
            return None
        long_path = _EXEC_LINE.search(text)
        if long_path is not None:
            return (long_path[1],)
        words = first[2:].split()
        if words and os.path.basename(words[0]) == "env":  # noqa: PTH119
            words = [word for word in words[1:] if not word.startswith("-") and not _ASSIGNMENT.fullmatch(word)]
        return tuple(words) or None

    def _unread(self, words: list[str], launch: Launch | None) -> Iterator[str]:
        if any(word in _NO_PYTHON for word in words):
            yield f"{words[0]} starts a program that need not be Python, which is not read"
        if launch is None:
            yield f"the code that {words[0]} runs is not known"


def _unresolved(name: str, launches: Sequence[Launch]) -> Iterator[str]:
    """Yield which words of a script's commands only a run knows."""
    for launch in launches:
        words = list(dict.fromkeys(launch.unresolved))
        if words:
            more = f" and {len(words) - MAX_UNRESOLVED} more" if len(words) > MAX_UNRESOLVED else ""
            shown = f"{', '.join(words[:MAX_UNRESOLVED])}{more}"
            yield f"only a run knows what {shown} in {name}:{launch.line} stands for, so flags in it were not read"


def _changes_environment(words: list[str]) -> bool:
    """Return whether a command of a script can change which interpreter the next one uses."""
    starts = bool(words) and words[0] in _CHANGES_ENVIRONMENT
    return starts or any(word.startswith(_CHANGED_VARIABLES) for word in words)


def _changes_folder(options: list[str]) -> bool:
    """Return whether options of ``env`` name another working folder: ``-C DIR``, ``--chdir=DIR``."""
    return any(word.startswith(("-C", "--chdir")) for word in options)


def _of_wrapper(name: str) -> tuple[str, ...]:
    if name not in _OTHER_MACHINES:
        return ()
    sentence = (
        f"{name} may start the command on other machines; only this one was examined. Put the gate behind it:"
        f" {name} … vc2doctor gate -- …"
    )
    return (sentence,)
