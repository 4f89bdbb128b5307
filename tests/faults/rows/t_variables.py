"""T. Environment variables that Python and its libraries read, locales, and encodings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.faults.model import Command, Expected, Row, row, rows
from tests.faults.scene import HALF_LOOP, ON_PAPER

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_VARIABLES: dict[str, dict[str, str | None]] = {
    "warnings_that_are_errors": {"PYTHONWARNINGS": "error"},
    "an_encoding_of_two_bytes": {"PYTHONIOENCODING": "utf-16"},
    "assertions_removed": {"PYTHONOPTIMIZE": "2"},
    "a_library_that_is_missing": {"LD_PRELOAD": "/nowhere/x.so"},
    "an_empty_path": {"PATH": ""},
    "no_home": {"HOME": None},
    "a_home_that_is_a_device": {"HOME": "/dev/null", "HF_HOME": "/dev/zero", "XDG_CACHE_HOME": "/dev/full"},
    "a_locale_that_is_unknown": {"LC_ALL": "xx_YY.KOI8"},
    "a_strict_encoding": {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii:strict",
    },
    "a_flood_of_the_import_system": {"PYTHONVERBOSE": "2", "PYTHONPROFILEIMPORTTIME": "1"},
    "a_flood_of_the_linker": {"LD_DEBUG": "all"},
    "columns_below_zero": {"COLUMNS": "-5", "LINES": "abc"},
    "columns_beyond_integers": {"COLUMNS": "99999999999"},
    "tracing_of_allocations": {"PYTHONMALLOC": "debug", "PYTHONDEVMODE": "1", "PYTHONTRACEMALLOC": "5"},
    "a_hash_seed_that_is_fixed": {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": ""},
}


def _with_variables(name: str) -> Row:
    def plan(scene: Scene) -> Command:
        return Command(("check", *ON_PAPER, "--python", scene.target()), variables=_VARIABLES[name])

    names = ", ".join(
        f"`{key}={value}`" if value is not None else f"no `{key}`" for key, value in _VARIABLES[name].items()
    )
    return Row("T", f"environment_with_{name}", f"The environment has {names}.", plan, Expected((0,)))


VARIABLES = tuple(map(_with_variables, _VARIABLES))


@row("T", 2, says="VIRTUAL_ENV", says_not="\x1b", in_suite=True)
def active_environment_with_an_escape(_: Scene) -> Command:
    """`VIRTUAL_ENV` holds a line break and an escape sequence."""
    return Command(("check", *ON_PAPER), variables={"VIRTUAL_ENV": "/nowhere\n\x1b[31mx"})


@row("T", 0, says="A known defect applies")
def completion_variables(_: Scene) -> Command:
    """The variables of click's completion have odd values."""
    variables = {"_VC2DOCTOR_COMPLETE": "nonsense", "_PYTHON_M_VC2DOCTOR_COMPLETE": "nonsense"}
    return Command(("explain", "VC005"), variables=variables)


@rows(
    "T",
    {name: name.replace("_", "-") for name in ("idna", "undefined", "punycode", "zlib", "unicode_escape")},
    1,
    says="train.py",
)
def coding_cookie(scene: Scene, name: str) -> Command:
    """A Python file declares an encoding that is none of text."""
    scene.file("odd.py", f"# coding: {name}\nx = 1  # \\\n{HALF_LOOP}")
    scene.file("train.py", HALF_LOOP)
    return Command(("lint", "."))


@row("T", 1, says="train.py")
def files_in_wide_encodings(scene: Scene) -> Command:
    """A Python file in UTF-16, a YAML file in UTF-32 and requirements in UTF-16 lie beside a good file."""
    scene.file("odd.py", HALF_LOOP.encode("utf-16"))
    scene.file("accelerate.yaml", "mixed_precision: fp16\n".encode("utf-32"))
    scene.file("requirements.txt", "peft==0.4.0\n".encode("utf-16"))
    scene.file("train.py", HALF_LOOP)
    return Command(("lint", "."))


def _bytes_stay(scene: Scene, _: object) -> str:
    data = scene.path("train.py").read_bytes()
    kept = data.startswith(b"\xef\xbb\xbf# caf\xc3\xa9\r\n\x0c\r\n") and b"\r\n" in data and not data.endswith(b"\n")
    return "" if kept and data.count(b"\n") == data.count(b"\r\n") else f"the file begins {data[:60]!r}"


@row("T", 0, 1, changes=("tree/train.py",), verify=_bytes_stay)
def fix_keeps_bytes(scene: Scene) -> Command:
    """The fixed file has a byte order mark, CRLF, a form feed, and no line break at its end: they stay."""
    text = ("# café\n\f\n" + HALF_LOOP).rstrip("\n").replace("\n", "\r\n")
    scene.file("train.py", b"\xef\xbb\xbf" + text.encode())
    return Command(("lint", "--fix", "--precision", "bf16", "--allow-dirty", "."))


@row("T", 0, 1)
def prompt_after_the_end(scene: Scene) -> Command:
    """`PYTHONINSPECT=1` asks Python for a prompt at its end: the target does not wait at one."""
    python = scene.target()
    # The doctor itself is a Python, and its own prompt is what the user asked for.
    script = 'exec env -u PYTHONINSPECT "$@"'
    wrapper = scene.script("python", f'#!/bin/sh\nPYTHONINSPECT=1 exec {python} "$@"\n')
    return Command(("check", *ON_PAPER, "--timeout", "20", "--python", wrapper), script=script)


@row("T", 2, says="--user-config")
def user_configuration_in_a_device(scene: Scene) -> Command:
    """`HF_HOME` is a device, and `--user-config` reads the configuration of the user."""
    scene.file("train.py", HALF_LOOP)
    return Command(("lint", "--user-config", "train.py"), variables={"HF_HOME": "/dev/zero"})


def _is_json(scene: Scene, _: object) -> str:
    try:
        json.loads(scene.path("é.json").read_bytes())
    except ValueError as error:
        return f"the file is not JSON in UTF-8: {error}"
    return ""


@row("T", 0, changes=("tree/é.json",), verify=_is_json)
def report_with_a_foreign_name(scene: Scene) -> Command:
    """The locale is plain ASCII, and the output file has a name beyond ASCII."""
    words = ("check", *ON_PAPER, "--format", "json", "--output", "é.json", "--python", scene.target())
    variables = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    return Command(words, variables=variables)
