"""The words that started the doctor, so that the commands that it prints start it in the same way."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath

from vc2doctor.core import reading

_NAME = "vc2doctor"
_LAUNCHERS = ("uv", "uvx", "pipx")
"""Programs that start the doctor in an environment of their own and wait for it."""


def started_by() -> tuple[str, ...]:
    """Return the words before the verb, as far as they can be known."""
    return program(sys.orig_argv, sys.argv, sys.prefix, _command_of_parent(), shutil.which(_NAME))


def program(
    original: Sequence[str], argv: Sequence[str], prefix: str, parent: Sequence[str], on_path: str | None
) -> tuple[str, ...]:
    """Return the words before the verb: ``vc2doctor``, ``python -m vc2doctor``, ``uvx --from . vc2doctor``.

    ``original`` are all words of this process, with the interpreter; ``argv`` is ``sys.argv``; ``prefix`` is the folder
    of the environment that runs the doctor; ``parent`` are the words of the parent process, or none; ``on_path`` is the
    file that a shell runs for ``vc2doctor``.
    """
    by_launcher = _launcher_words(parent, argv[1:])
    if by_launcher:
        return by_launcher
    if len(original) > len(argv) and "-m" in original:
        # python, its own options, -m, vc2doctor; then the words of argv without its first.
        return tuple(original[: len(original) - len(argv) + 1])
    folders = PurePath(prefix).parts
    if any(folder.startswith("archive-v") for folder in folders):
        # uvx runs in a cache of uv; no other tool names a folder so.
        return "uvx", _NAME
    if "pipx" in folders and "venvs" not in folders:
        # `pipx run` replaces itself by the doctor, which then runs in the cache of pipx. `pipx install` uses venvs/.
        spec = _pipx_spec(Path(prefix))
        return ("pipx", "run", "--spec", spec, _NAME) if spec != _NAME else ("pipx", "run", _NAME)
    if PurePath(argv[0]).name != _NAME:
        # Started from Python: an embedding program or a test.
        return (_NAME,)
    is_on_path = on_path is not None and os.path.realpath(on_path) == os.path.realpath(argv[0])
    return (_NAME,) if is_on_path else (argv[0],)


def _launcher_words(parent: Sequence[str], arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the words of a launcher up to the doctor's own arguments, or none if the parent is no launcher."""
    words, count = list(parent), len(arguments)
    if not words or PurePath(words[0]).name not in _LAUNCHERS or words[len(words) - count :] != list(arguments):
        return ()
    before = [PurePath(words[0]).name, *words[1 : len(words) - count]]
    # The program uvx replaces itself by this command.
    return ("uvx", *before[3:]) if before[:3] == ["uv", "tool", "uvx"] else tuple(before)


def _pipx_spec(prefix: Path) -> str:
    """Return what `pipx run` installed into the environment at ``prefix``: a folder, an address or a requirement."""
    from vc2doctor.core import parsing  # noqa: PLC0415 - PyYAML and RE2 make `--help` slow

    try:
        return str(
            parsing.parse_json(reading.read_bytes(prefix / "pipx_metadata.json"))["main_package"]["package_or_url"]
        )
    except (reading.ReadError, parsing.MalformedError, KeyError, TypeError):
        return _NAME


def _command_of_parent() -> tuple[str, ...]:
    """Return the words of the parent process; none where the system does not tell them (macOS)."""
    try:
        text = reading.read_bytes(f"/proc/{os.getppid()}/cmdline").decode("utf-8", "surrogateescape")
    except reading.ReadError:
        return ()
    return tuple(text.split("\0")[:-1])
