"""Y. States and configuration of git repositories: `lint --fix` loses no change, and runs no program of the tree."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import HALF_LOOP, needs_root

if TYPE_CHECKING:
    from tests.faults.model import Ran
    from tests.faults.scene import Scene

_FIX = ("lint", "--fix", "--precision", "bf16", "train.py")
_CHANGE = "# a change that git does not know\n"


def _nothing_ran(scene: Scene, _: Ran) -> str:
    return scene.wrong_signs()


def _git(scene: Scene, *words: str) -> None:
    subprocess.run(["git", *words], cwd=scene.tree, check=True, capture_output=True)  # noqa: S607 - found on PATH


def _committed(scene: Scene) -> None:
    scene.file("train.py", HALF_LOOP)
    scene.repository()


def _program(scene: Scene, name: str = "program.sh") -> str:
    return scene.script(name, f"#!/bin/sh\ntouch {scene.signs}/program\ncat\n")


@row("Y", 1, 2, says="not as the last commit has it", in_suite=True)
def uncommitted_change(scene: Scene) -> Command:
    """The file has a change that is not committed."""
    _committed(scene)
    scene.file("train.py", HALF_LOOP + _CHANGE)
    return Command(_FIX)


@rows("Y", {"assumed_unchanged": "--assume-unchanged", "skipped": "--skip-worktree"}, 1, 2, says="train.py")
def change_that_is_hidden_because(scene: Scene, option: str) -> Command:
    """The file has a change that is not committed, and a flag of git's index hides the file."""
    _committed(scene)
    _git(scene, "update-index", option, "train.py")
    scene.file("train.py", HALF_LOOP + _CHANGE)
    return Command(_FIX)


@row("Y", 1, 2, says="train.py")
def untracked_file_that_is_hidden(scene: Scene) -> Command:
    """The file is not tracked, and the repository hides such files."""
    scene.file("other.py")
    scene.repository()
    _git(scene, "config", "status.showUntrackedFiles", "no")
    scene.file("train.py", HALF_LOOP)
    return Command(_FIX)


@row("Y", 1, 2)
def pointer_to_a_repository_that_is_missing(scene: Scene) -> Command:
    """`.git` is a file that points nowhere."""
    scene.file("train.py", HALF_LOOP)
    scene.file(".git", "gitdir: /nowhere/x\n")
    return Command(_FIX)


@row("Y", 1, 2, says="git")
def index_that_is_damaged(scene: Scene) -> Command:
    """The index of the repository is damaged."""
    _committed(scene)
    scene.file(".git/index", "garbage")
    return Command(_FIX)


@row("Y", 1, 2)
def file_that_was_never_committed(scene: Scene) -> Command:
    """The repository has no commit; the file is staged."""
    scene.file("train.py", HALF_LOOP)
    _git(scene, "init", "-q")
    _git(scene, "add", "train.py")
    return Command(_FIX)


@row("Y", 0, 1, 2, changes=("tree/train.py", "tree/.git*"), verify=_nothing_ran)
def filter_of_the_repository(scene: Scene) -> Command:
    """The repository names a filter, which `git status` runs for files that were touched."""
    _committed(scene)
    program = _program(scene)
    scene.file(".gitattributes", "*.py filter=x\n")
    _git(scene, "config", "filter.x.clean", program)
    scene.file("train.py", HALF_LOOP)
    return Command(_FIX)


@row("Y", 0, 1, 2, changes=("tree/train.py", "tree/.git*"), verify=_nothing_ran)
def program_called_git_in_the_tree(scene: Scene) -> Command:
    """`PATH` begins with the working directory, and the tree has a program called git."""
    scene.file("train.py", HALF_LOOP)
    _program(scene, "git")
    return Command((*_FIX, "--allow-dirty"), script='export PATH=".:$PATH"; exec "$@"')


@row("Y", 1, 2, says="git")
def no_git(scene: Scene) -> Command:
    """Git is not installed, and the file of a repository has a change."""
    _committed(scene)
    scene.file("train.py", HALF_LOOP + _CHANGE)
    return Command(_FIX, script='PATH=/nowhere; exec "$@"')


@row("Y", 1, 2, says="train.py")
def change_below_the_resolution_of_a_repository(scene: Scene) -> Command:
    """The repository ignores the state of files (`core.ignoreStat`), and the file has a change."""
    _committed(scene)
    _git(scene, "config", "core.ignoreStat", "true")
    scene.path("train.py").unlink()
    _git(scene, "checkout", "train.py")
    scene.file("train.py", HALF_LOOP + _CHANGE)
    return Command(_FIX)


@row("Y", 1, 2)
def repository_of_another_user(scene: Scene) -> Command:
    """The repository of the changed file belongs to another user, so git refuses it (`safe.directory`)."""
    needs_root()
    _committed(scene)
    scene.file("train.py", HALF_LOOP + _CHANGE)
    for path in (scene.tree, *scene.tree.rglob("*")):
        os.chown(path, 12345, 12345)
    return Command(_FIX)


@row("Y", 0, says="This is no git repository", changes=("tree/train.py",))
def variables_that_name_another_repository(scene: Scene) -> Command:
    """`GIT_DIR` and `GIT_WORK_TREE` name a clean repository, and the file is in none: no command of git can undo."""
    _committed(scene)
    other = scene.root / "other"
    scene.path(".git").rename(other)
    variables = {"GIT_DIR": str(other), "GIT_WORK_TREE": str(scene.home)}
    return Command(_FIX, variables=variables)


@row("Y", 1, 2)
def conflict_of_a_merge(scene: Scene) -> Command:
    """The file is in the conflict of a merge."""
    _committed(scene)
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    _git(scene, "checkout", "-q", "-b", "other")
    for branch, line in (("other", "x = 1\n"), ("-", "x = 2\n")):
        if branch == "-":
            _git(scene, "checkout", "-q", "-")
        scene.file("train.py", HALF_LOOP + line)
        _git(scene, *identity, "commit", "-q", "-a", "-m", branch)
    subprocess.run(["git", *identity, "merge", "other"], cwd=scene.tree, check=False, capture_output=True)  # noqa: S607
    scene.file("train.py", HALF_LOOP + "x = 3\n")
    return Command(_FIX)


@row("Y", 0, 1, 2, changes=("tree/train.py", "tree/.git*"), verify=_nothing_ran)
def filter_process_of_the_repository(scene: Scene) -> Command:
    """The repository names a filter that stays in memory, and the file was touched."""
    _committed(scene)
    scene.file(".gitattributes", "*.py filter=x\n")
    _git(scene, "config", "filter.x.process", _program(scene))
    scene.file("train.py", HALF_LOOP)
    return Command(_FIX)
