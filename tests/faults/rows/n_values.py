"""N. Values out of range, and machines without the ordinary: exit code 2 with one message."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import mounted

if TYPE_CHECKING:
    from tests.faults.scene import Scene


@rows(
    "N",
    {"nan": "nan", "infinite": "inf", "negative": "-1", "beyond_floats": "1e999", "empty": ""},
    2,
    says="--timeout",
    suite=("nan",),
)
def time_limit(_: Scene, value: str) -> Command:
    """The time limit is no number of seconds."""
    return Command(("check", "--timeout", value))


@rows(
    "N",
    {
        "many_digits": "torch==" + "1" * 5_000,
        "an_empty_version": "torch==",
        "other_digits": "torch==\uff12.\uff11",
        "a_hundred_thousand_characters": "t" * 100_000,
        "nothing": "",
    },
    2,
    says_not=("set_int_max_str_digits",),
)
def package_with(_: Scene, text: str) -> Command:
    """`matrix explain` gets a package with an odd version."""
    return Command(("matrix", "explain", text))


@rows(
    "N",
    {
        "seed_below_zero": "probe --seed -1",
        "device_that_is_none": "probe --device cuda:99999999",
        "entry_without_a_name": "probe --entry :",
        "rule_that_is_none": "lint --select VC999 .",
        "matrix_that_is_none": "check --no-probe --matrix .",
        "interpreter_that_is_a_folder": "check --python .",
        "file_that_is_missing": "lint nosuch.py",
    },
    2,
)
def option(_: Scene, words: str) -> Command:
    """An option with a value that cannot be used."""
    return Command(tuple(words.split()))


@row("N", 2, says="working directory", in_suite=True)
def deleted_working_directory(scene: Scene) -> Command:
    """The working directory was removed."""
    folder = scene.root / "gone"
    folder.mkdir()
    return Command(("lint", "."), folder=folder, script='rmdir "$PWD"; exec "$@"')


@row("N", 0, 1, 2, 3)
def deleted_working_directory_of_a_check(scene: Scene) -> Command:
    """The working directory was removed before a check, which needs none of its files."""
    folder = scene.root / "gone"
    folder.mkdir()
    return Command(("check", "--python", scene.target()), folder=folder, script='rmdir "$PWD"; exec "$@"')


@row("N", 2, says="TMPDIR")
def no_temporary_folder(scene: Scene) -> Command:
    """No folder for temporary files can be written to."""
    python = (sys.executable, "-c", _WITHOUT_TEMPORARY)
    return Command(("check", "--python", scene.target()), python=python)


_WITHOUT_TEMPORARY = "import tempfile; tempfile.tempdir = '/nowhere'; from vc2doctor.cli.main import main; main()"


@row("N", 1, 3)
def full_temporary_folder(scene: Scene) -> Command:
    """The folder for temporary files is on a full file system: another one is taken."""
    script = mounted("size=64k,nr_inodes=2", scene.temporary)
    return Command(
        ("check", "--python", scene.target()),
        script=script.replace(
            "&& exec", f"&& (touch {scene.temporary}/x; cat /dev/zero > {scene.temporary}/x; true) 2>/dev/null; exec"
        ),
    )


@row("N", 2, says="cannot be written")
def report_on_a_full_file_system(scene: Scene) -> Command:
    """The report goes to a file system that is full."""
    folder = scene.path("full")
    folder.mkdir()
    scene.file("train.py")
    script = mounted("size=4k", folder)
    fill = f"&& (cat /dev/zero > {folder}/x; true) 2>/dev/null; exec"
    return Command(("lint", "train.py", "--output", "full/report.txt"), script=script.replace("&& exec", fill))


@row("N", 2, says="cannot be written")
def report_on_a_read_only_file_system(scene: Scene) -> Command:
    """The report goes to a file system that is mounted read-only."""
    folder = scene.path("full")
    folder.mkdir()
    scene.file("train.py")
    return Command(("lint", "train.py", "--output", "full/report.txt"), script=mounted("ro", folder))


@rows(
    "N",
    {
        "a_timeout_that_is_nan": "timeout = nan",
        "a_timeout_of_many_digits": f"timeout = 1{'0' * 400}",
        "a_date_as_precision": "precision = 1979-05-27",
        "an_unknown_key": "precison = 'bf16'",
        "a_number_as_table": "",
    },
    2,
    says="pyproject.toml",
)
def settings_with(scene: Scene, text: str) -> Command:
    """The settings hold a value that cannot be used."""
    scene.file("pyproject.toml", f"[tool.vc2doctor]\n{text}\n" if text else "[tool]\nvc2doctor = 3\n")
    return Command(("check",))


@rows(
    "N",
    {
        "no_json": "x",
        "a_number_as_version": '{"torch": 2}',
        "many_digits": f'{{"torch": "{"1" * 5000}"}}',
        "many_levels": "[" * 100_000,
    },
    2,
    says="batch.jsonl",
)
def batch_line_with(scene: Scene, text: str) -> Command:
    """A line of `matrix explain --batch` cannot be used."""
    scene.file("batch.jsonl", f"{text}\n")
    return Command(("matrix", "explain", "--batch", "batch.jsonl"))
