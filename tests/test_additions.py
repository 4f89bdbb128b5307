"""Adding one thing touches one place: each kind of addition is made in a copy of the tree, and nothing else changes.

After the additions, the two generators run (``matrix compile``, ``tests.pages``), and the tests that hold the tree
together must pass: whatever has gone stale without a word fails there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from tests.conftest import ON_PAPER

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.xdist_group("additions")
"""The tests share a copy of the tree, which takes long to make: one worker runs them."""
TREE = ("vc2doctor", "matrices", "tests", "docs", "README.md", "noxfile.py", "pyproject.toml")

GUARDS = (
    *("tests/test_layers.py", "tests/pages", "tests/checks/test_all.py", "tests/linter/test_rules.py"),
    *("tests/report/test_formats.py", "tests/report/test_machine_formats.py", "tests/report/test_saved_reports.py"),
    *("tests/report/html/test_page.py", "tests/report/html/test_curves.py", "tests/report/terminal"),
    *("tests/matrix/test_load.py", "tests/matrix/test_judge.py", "tests/probe/test_outcome.py"),
    *("tests/linter/test_config.py", "tests/environment/test_sources.py", "tests/commands/test_settings.py"),
    "tests/curate/test_compile.py::test_every_shipped_measurement_is_judged_as_it_ended",
)
"""The tests that notice what an addition leaves behind. The verdicts are not compared with a second compilation: the
fixture has just compiled them."""


DOOR = '''
    """A door that nothing needs."""

    from . import Door

    DOOR = Door(
        name="an-example",
        title="an example",
        modules=(),
        signs=("example.Trainer",),
        load=lambda: None,
        train=lambda kit: kit.train_loop(kit.adapted()),
        fault="example:Trainer.fit",
    )
'''


class Addition(NamedTuple):
    """One thing that is added: new files, and at most one edit of a table."""

    files: dict[str, str]
    """Path → content, of files that are new."""
    edit: tuple[str, str, str] | None = None
    """A file that holds a table, a text in it, and what is put in place of that text."""
    command: tuple[str, ...] = ()
    """A command of the doctor that now knows of it."""
    answer: str = ""
    """What that command prints."""


CHECK = '''
    """The machine has less memory than the stack needs to be imported.

    The check compares the memory of the machine with one GiB.

    Why it matters: importing torch, transformers and peft takes about one GiB.

    What to do: use a larger machine.
    """

    from collections.abc import Iterator

    from vc2doctor.checks.context import Examination
    from vc2doctor.findings import Finding, Severity


    def check(examination: Examination) -> Iterator[Finding]:
        """Yield a note where the memory is below one GiB."""
        memory = examination.environment.cpu.memory
        if memory is not None and memory < 1 << 30:
            yield Finding(
                id="VC099",
                severity=Severity.NOTE,
                message="This machine has less than one GiB of memory",
                evidence=(f"{memory} bytes",),
                remedy="Use a larger machine.",
                commands=("free -g",),
                url="https://docs.kernel.org/filesystems/proc.html",
            )
    '''

RULE = '''
    """A seed of zero.

    **What it does.** Reports seeds of zero.

    **Why is this bad.** It is an example of a rule.

    **Example**

        torch.manual_seed(0)

    **Use instead**

        torch.manual_seed(1)

    **How to fix.** Choose another seed. To keep a line, add `# vc2doctor: ignore[VC199]`.

    **Quiet.** No finding for every other seed.

    **References**

    * https://docs.pytorch.org/docs/stable/generated/torch.manual_seed.html
    """

    import ast
    from collections.abc import Iterator

    from vc2doctor.findings import Severity
    from vc2doctor.linter import build
    from vc2doctor.linter.analyse.facts import Facts
    from vc2doctor.linter.model import CodeFinding


    def find(facts: Facts) -> Iterator[CodeFinding]:
        """Find seeds of zero."""
        for module in facts.code.files.modules.values():
            for call in module.calls:
                seed = call.argument("seed", 0)
                if call.name == "manual_seed" and isinstance(seed, ast.Constant) and seed.value == 0:
                    yield build.at_node(module, call.node, "VC199", Severity.NOTE, "the seed is 0", remedy="No.")
    '''

TRAINS = "import torch\n\nwith torch.autocast('cuda', dtype=torch.bfloat16):\n    torch.manual_seed({})"

ISSUE = """
    id = "an-example"
    title = "numpy 0.0.1 is an example"
    severity = "note"
    explanation = "It shows how a known issue is added."
    symptom = "an example"
    when = [{ numpy = "==0.0.1" }]
    fix = [["numpy>=1"]]
    sources = ["https://numpy.org"]
    evidence = "none: an example"
    """

CAUSE = '''
@cause("Use another example.")
def an_example(case: Case) -> str | None:
    """Return evidence if the error is that of the example."""
    return "it is an example" if case.error == "an example of a cause" else None


'''

FORMAT = '''
    """The verdict as one word."""

    from vc2doctor.commands.report import Report
    from vc2doctor.report.formats import Format


    def render(report: Report) -> str:
        """Return the verdict."""
        return f"{report.verdict}\\n"


    FORMAT = Format("word", (".word",), {"check": render})
    '''

SOURCE = '''
    """How long the machine has been up."""

    from pathlib import Path

    from vc2doctor.core.data import Data
    from vc2doctor.environment.sources import Context, Source


    class Uptime(Data):
        """Seconds since the machine was started."""

        seconds: float | None


    def observe(_: Context) -> Uptime:
        """Return how long this machine has been up."""
        try:
            text = Path("/proc/uptime").read_text(encoding="utf-8")
        except OSError:
            return Uptime(seconds=None)
        return Uptime(seconds=float(text.split()[0]))


    SOURCE = Source("uptime", observe, Uptime)
    '''

LAUNCHER = '''
    """Files of an example launcher: ``train.run`` with lines such as ``fp16 = true``."""

    import json

    from vc2doctor.linter.read.config import Config, ConfigEntry
    from vc2doctor.linter.read.formats import FileFormat, Reading


    def read(name: str, text: str) -> Reading:
        """Return the settings of a file."""
        pairs = [(number, line.partition("=")) for number, line in enumerate(text.splitlines(), 1)]
        entries = tuple(ConfigEntry(key.strip(), json.loads(value), number) for number, (key, _, value) in pairs)
        return Reading(configs=(Config(name, "example", entries),))


    FORMAT = FileFormat(suffixes=(".run",), read=read)
    '''

PROFILE = (ROOT / "matrices" / "profiles" / "causal-lm.toml").read_text(encoding="utf-8")

ADDITIONS = {
    "check": Addition(
        {"vc2doctor/checks/vc099_memory.py": dedent(CHECK).lstrip()},
        command=("explain", "vc099"),
        answer="The machine has less memory than the stack needs to be imported.",
    ),
    "lint rule": Addition(
        {
            "vc2doctor/linter/rules/vc199_seed.py": dedent(RULE).lstrip(),
            "tests/linter/fixtures/rules/VC199/bad/a.py": f"{TRAINS.format(0)}  # expect: note\n",
            "tests/linter/fixtures/rules/VC199/good/a.py": f"{TRAINS.format(1)}\n",
        },
        command=("explain", "VC199"),
        answer="A seed of zero.",
    ),
    "known issue": Addition({"matrices/known_issues/an-example.toml": dedent(ISSUE).lstrip()}),
    "profile": Addition(
        {"matrices/profiles/an-example.toml": PROFILE.replace('name = "causal-lm"', 'name = "an-example"')}
    ),
    "precision recipe": Addition(
        {},
        (
            "vc2doctor/target/shared/recipes.py",
            "\n)\n\nRECIPES",
            '\n    _recipe("bf16-pure", "bf16 - -", "bfloat16, no autocast", risk=2),\n)\n\nRECIPES',
        ),
        command=("probe", "--help"),
        answer="bf16-pure",
    ),
    "door": Addition(
        {"vc2doctor/target/doors/example.py": dedent(DOOR).lstrip()},
        command=("check", "--help"),
        answer="adapter|an-example",
    ),
    "named cause": Addition(
        {},
        (
            "vc2doctor/probe/causes_of_data.py",
            '\n\n@cause("Find the code',
            f'\n\n{CAUSE.lstrip()}@cause("Find the code',
        ),
        command=("explain", "an-example"),
        answer="Use another example.",
    ),
    "report format": Addition(
        {"vc2doctor/report/formats/word.py": dedent(FORMAT).lstrip()}, command=("check", "--help"), answer="word"
    ),
    "source of facts": Addition(
        {"vc2doctor/environment/sources/uptime.py": dedent(SOURCE).lstrip()},
        command=("check", *ON_PAPER, "--format", "json"),
        answer='"uptime": { "seconds":',
    ),
    "launcher's configuration": Addition(
        {
            "vc2doctor/linter/read/formats/example.py": dedent(LAUNCHER).lstrip(),
            "example/train.run": "fp16 = true\nmax_grad_norm = -1\n",
        },
        command=("lint", "example"),
        answer="at example/train.run:2",
    ),
}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with one addition of each kind, brought up to date by the two generators."""
    folder = tmp_path_factory.mktemp("tree")
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for addition in ADDITIONS.values():
        add(addition, folder)
    for generator in (("vc2doctor", "matrix", "compile"), ("tests.pages",)):
        made = run(folder, *generator)
        assert made.returncode == 0, made.stdout + made.stderr
    return folder


def add(addition: Addition, folder: Path) -> None:
    for path, text in addition.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    if addition.edit is not None:
        path, old, new = addition.edit
        before = (folder / path).read_text(encoding="utf-8")
        assert old in before, f"{path} no longer contains {old!r}"
        (folder / path).write_text(before.replace(old, new, 1), encoding="utf-8")


def test_nothing_else_has_to_change_after_one_addition_of_each_kind(tree: Path) -> None:
    done = run(tree, "pytest", "-q", "-p", "no:cacheprovider", *GUARDS)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("kind", [kind for kind, addition in ADDITIONS.items() if addition.command])
def test_the_doctor_knows_of_the_addition(kind: str, tree: Path) -> None:
    addition = ADDITIONS[kind]
    answer = run(tree, "vc2doctor", *addition.command)
    assert addition.answer in " ".join(answer.stdout.split()), answer.stdout + answer.stderr
