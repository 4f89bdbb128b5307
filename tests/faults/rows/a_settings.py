"""A. What a checkout may not choose: where to write, what to run, what counts as knowledge."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.faults.model import Command, row
from tests.faults.scene import HALF_LOOP, ON_PAPER, installed, small_matrix

if TYPE_CHECKING:
    from tests.faults.model import Ran
    from tests.faults.scene import Scene

_CHECK = ("check", *ON_PAPER, "--python")
_IGNORED = "pyproject.toml"


def _nothing_ran(scene: Scene, _: Ran) -> str:
    return scene.wrong_signs()


def _settings(scene: Scene, text: str) -> None:
    scene.file("pyproject.toml", f"[tool.vc2doctor]\n{text}\n")


@row("A", 0, says=(_IGNORED, "output"), in_suite=True)
def output_of_found_settings_is_not_written(scene: Scene) -> Command:
    """Found settings name an output file in the site-packages of the target, which Python would execute."""
    _settings(scene, f'output = "{scene.packages}/evil.pth"')
    return Command((*_CHECK, scene.target()))


@row("A", 0, says=(_IGNORED, "matrix"), says_not="planted knowledge")
def matrix_of_found_settings_is_not_used(scene: Scene) -> Command:
    """Found settings name a matrix whose known issue says what the attacker wants printed."""
    _settings(scene, 'matrix = "m"')
    small_matrix(scene, title='"planted knowledge"')
    return Command((*_CHECK, scene.target()))


@row("A", 0, says=(_IGNORED, "python"), verify=_nothing_ran)
def interpreter_of_found_settings_is_not_started(scene: Scene) -> Command:
    """Found settings name a program of the checkout as the interpreter to examine."""
    scene.script("python", f"#!{sys.executable}\n{scene.sign('started')}\n")
    _settings(scene, 'python = "python"')
    return Command(("check", *ON_PAPER), variables={"VIRTUAL_ENV": str(_environment(scene))})


def _environment(scene: Scene) -> str:
    scene.target()
    return str(scene.venv)


@row("A", 0, says=(_IGNORED, "code"), says_not="planted_loop.py")
def code_of_found_settings_is_not_linted(scene: Scene) -> Command:
    """Found settings name a folder outside of the checkout as the training code, whose text would be in the report."""
    outside = scene.root / "home" / "private"
    outside.mkdir()
    (outside / "planted_loop.py").write_text("import torch\nmodel.half()\nloss.backward()\n", encoding="utf-8")
    _settings(scene, f'code = "{outside}"')
    return Command((*_CHECK, scene.target()))


@row("A", 1, 3, verify=_nothing_ran)
def entry_of_found_settings_is_not_imported(scene: Scene) -> Command:
    """Found settings name a function of the checkout as the model to train."""
    scene.file("evil.py", f"{scene.sign('imported')}\ndef build():\n    {scene.sign('called')}\n")
    _settings(scene, 'entry = "evil:build"')
    return Command(("probe", "--timeout", "60", "--python", scene.target()))


@row("A", 0, 1, 3, says="pyproject.toml")
def gate_weakened_by_settings_of_a_parent_is_named(scene: Scene) -> Command:
    """Settings in a parent folder ignore the rule that the code breaks: the report counts what they silence."""
    scene.file("pyproject.toml", '[tool.vc2doctor.lint]\nignore = ["VC101", "VC102", "VC103", "VC104", "VC105"]\n')
    scene.file("code/train.py", HALF_LOOP)
    return Command(("lint", "."), folder=scene.path("code"))


@row("A", 2, says=("--config", "--isolated"))
def settings_file_and_isolation_exclude_each_other(scene: Scene) -> Command:
    """`--isolated` with `--config`: these options contradict each other."""
    scene.file("settings.toml", "[tool.vc2doctor]\n")
    return Command((*_CHECK, scene.target(), "--isolated", "--config", "settings.toml"))


@row("A", 0, changes=("tree/chosen.txt",), says="chosen.txt")
def output_of_passed_settings_is_written(scene: Scene) -> Command:
    """The user passes the settings with `--config`: then the output file is written, and named."""
    scene.file("settings.toml", '[tool.vc2doctor]\noutput = "chosen.txt"\n')
    return Command((*_CHECK, scene.target(), "--config", "settings.toml"))


@row("A", 1, 3, verify=_nothing_ran)
def modules_of_the_working_directory_are_not_imported(scene: Scene) -> Command:
    """The checkout has modules named like the libraries of the doctor and of the target."""
    for name in ("torch", "json", "click", "yaml", "pydantic", "sitecustomize", "usercustomize", "packaging"):
        scene.file(f"{name}.py", scene.sign(name))
    scene.file("vc2doctor/__init__.py", scene.sign("vc2doctor"))
    return Command((*_CHECK, scene.target()), python=installed(scene))


@row("A", 0, 1, 3, verify=_nothing_ran)
def hooks_of_a_git_repository_are_not_run(scene: Scene) -> Command:
    """The configuration of the repository names programs: a file-system monitor, an editor, hooks."""
    scene.file("train.py", HALF_LOOP)
    scene.repository()
    program = scene.script(".git/program", f"#!{sys.executable}\n{scene.sign('program')}\n")
    text = f'[core]\n\tfsmonitor = "{program}"\n\teditor = "{program}"\n\tpager = "{program}"\n\thooksPath = .git\n'
    with scene.path(".git/config").open("a", encoding="utf-8") as file:
        file.write(text + f'[diff]\n\texternal = "{program}"\n')
    return Command(("lint", "--fix", "--diff", "."))
