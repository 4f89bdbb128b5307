"""K. Bytes that are no text: in names of files and folders, in arguments, in what a target says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.model import Command, NotPossibleError, row, rows
from tests.faults.scene import HALF_LOOP, ON_PAPER

if TYPE_CHECKING:
    from tests.faults.model import Ran
    from tests.faults.scene import Scene

_ODD = b"nu\xff"
_FORMATS = {"text": "text", "json": "json"}


def _folder(scene: Scene) -> Path:
    """Make a folder of the tree whose name is no text.

    Raises:
        NotPossibleError: the file system allows only text.
    """
    path = scene.path(_ODD)
    try:
        path.mkdir()
    except OSError as error:
        message = f"the file system has only names that are text: {error.strerror}"
        raise NotPossibleError(message) from error
    return path


def _is_json(_: Scene, ran: Ran) -> str:
    try:
        json.loads(ran.out.encode("utf-8", "surrogateescape").decode("utf-8"))
    except ValueError as error:
        return f"standard output is not JSON in UTF-8: {error}"
    return ""


@rows("K", _FORMATS, 1, says="train.py")
def linted_folder(scene: Scene, form: str) -> Command:
    """The folder that is linted has a name that is no text."""
    (_folder(scene) / "train.py").write_text(HALF_LOOP, encoding="utf-8")
    return Command(("lint", "--format", form, "."))


@row("K", 1, verify=_is_json)
def linted_file_in_json(scene: Scene) -> Command:
    """A linted file has a name that is no text: the JSON is UTF-8."""
    scene.file(b"tr\xe4in.py", HALF_LOOP)
    return Command(("lint", "--format", "json", "."))


@rows("K", _FORMATS, 0, says="nu")
def target(scene: Scene, form: str) -> Command:
    """The target is a venv whose path is no text."""
    scene.target()
    venv = scene.venv.rename(_folder(scene) / "venv")
    return Command(("check", *ON_PAPER, "--format", form, "--python", os.fsencode(venv)))


@row("K", 0, 1, 3)
def working_directory(scene: Scene) -> Command:
    """The working directory has a name that is no text, and the probe runs there."""
    return Command(("check", "--python", scene.target()), folder=_folder(scene))


@rows(
    "K",
    {
        "path": b"lint \xff",
        "format": b"lint --format \xff",
        "identifier": b"explain \xff",
        "package": b"matrix explain \xff==1",
    },
    2,
    suite=("identifier",),
)
def argument(_: Scene, words: str | bytes) -> Command:
    """An argument that is no text, and names nothing that exists."""
    return Command(tuple(words.encode("utf-8", "surrogateescape").split() if isinstance(words, str) else words.split()))


@row("K", 1, says="train.py")
def latin_1_source(scene: Scene) -> Command:
    """A Python file in Latin-1 without a declaration, beside one with a fault."""
    scene.file("odd.py", b"name = 'Z\xfcrich'\n")
    scene.file("train.py", HALF_LOOP)
    return Command(("lint", "."))


@row("K", 0, 2)
def latin_1_source_that_is_named(scene: Scene) -> Command:
    """The named Python file is in Latin-1 without a declaration: it is read, or refused."""
    scene.file("odd.py", b"name = 'Z\xfcrich'\n")
    return Command(("lint", "odd.py"))


@row("K", 1, says="train.py")
def ascii_locale(scene: Scene) -> Command:
    """The locale is plain ASCII, and the file has a name in another script."""
    scene.file("код/train.py", HALF_LOOP)
    return Command(
        ("lint", "."),
        variables={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
    )


@row("K", 1, 3)
def last_words(scene: Scene) -> Command:
    """The target prints bytes that are no text, and its exception has lone surrogates."""
    source = r"import os, sys; os.write(2, b'\xff\xfe\x00'); raise ImportError('\udcff\ud800')"
    return Command(("check", "--format", "json", "--python", scene.target(torch=source)))


@row("K", 0, changes=("tree/nu*",))
def output_file(scene: Scene) -> Command:
    """The output file has a name that is no text."""
    _folder(scene).rmdir()
    scene.file("train.py")
    return Command(("lint", "train.py", "--output", _ODD))


@row("K", 0, 1, 3)
def environment_variable(scene: Scene) -> Command:
    """An environment variable of the user is no text."""
    scene.file("train.py")
    return Command(("check", *ON_PAPER, "--python", scene.target()), script="export ODD=$'\\xff'; exec \"$@\"")
