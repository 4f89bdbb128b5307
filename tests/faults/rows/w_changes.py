"""W. Files that change while the doctor runs, several runs at once, and control of jobs."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING

from tests.faults.model import Command, row
from tests.faults.scene import HALF_LOOP, ON_PAPER

if TYPE_CHECKING:
    from tests.faults.model import Ran
    from tests.faults.running import Running
    from tests.faults.scene import Scene

_FIX = ("lint", "--fix", "--precision", "bf16", "--allow-dirty", "train.py")


@row("W", 1, says="train.py", changes=("tree/d*",))
def files_that_come_and_go(scene: Scene) -> Command:
    """Modules are written and removed all the time during a lint."""
    scene.file("train.py", HALF_LOOP)

    def meanwhile(running: Running) -> None:
        while running.process.poll() is None:
            for number in range(8):
                with contextlib.suppress(OSError):
                    scene.file(f"d{number}/a.py", HALF_LOOP)
            for number in range(8):
                shutil.rmtree(scene.path(f"d{number}"), ignore_errors=True)

    return Command(("lint", "."), meanwhile=meanwhile)


@row("W", 1, says="train.py", changes=("tree/grows.py",))
def file_that_grows(scene: Scene) -> Command:
    """A module grows all the time during a lint."""
    scene.file("train.py", HALF_LOOP)
    path = scene.file("grows.py", "x = 1\n")

    def meanwhile(running: Running) -> None:
        while running.process.poll() is None and path.stat().st_size < 200_000_000:
            with path.open("ab") as file:
                file.write(b"#" * 1_000_000)
            time.sleep(0.05)

    return Command(("lint", "."), meanwhile=meanwhile)


def _one_whole_file(scene: Scene, _: Ran) -> str:
    text = scene.path("train.py").read_text(encoding="utf-8")
    try:
        compile(text, "train.py", "exec")
    except SyntaxError as error:
        return f"the file does not parse: {error}"
    names = {path.name for path in scene.tree.iterdir()}
    return "" if names == {"train.py", "other"} else f"the folder holds {names}"


@row("W", 0, 1, 2, changes=("tree/train.py", "tree/other"), verify=_one_whole_file)
def two_fixes_at_once(scene: Scene) -> Command:
    """Two `lint --fix` change one file at the same time."""
    scene.file("train.py", HALF_LOOP)
    return Command(_FIX, script='"$@" > other 2>&1 & "$@"; code=$?; wait; exit $code')


@row("W", 1, 2, 3, 0)
def two_checks_at_once(scene: Scene) -> Command:
    """Two checks of one target at the same time: neither removes the scratch folder of the other."""
    python = scene.target(torch="import time; time.sleep(1)")
    return Command(("check", "--python", python), script='"$@" >/dev/null 2>&1 & "$@"; code=$?; wait; exit $code')


@row("W", 1, 3, changes=("venv/*",))
def package_that_is_removed_during_the_probe(scene: Scene) -> Command:
    """The package transformers is uninstalled while torch is imported."""
    python = scene.target(torch=f"{scene.sign('started')}\nimport time; time.sleep(2)")

    def meanwhile(running: Running) -> None:
        running.wait_for_sign("started")
        shutil.rmtree(scene.packages / "transformers")

    return Command(("check", "--python", python), meanwhile=meanwhile)


@row("W", 1, 3)
def stopped_and_continued(scene: Scene) -> Command:
    """The doctor is stopped (Ctrl-Z) for a second while torch is imported, and continued."""
    python = scene.target(torch=f"{scene.sign('started')}\nimport time; time.sleep(1)")

    def meanwhile(running: Running) -> None:
        running.wait_for_sign("started")
        running.send(signal.SIGSTOP)
        time.sleep(1)
        running.send(signal.SIGCONT)

    return Command(("check", "--python", python), meanwhile=meanwhile)


@row("W", 0, 1, 3)
def ends_of_children_that_are_ignored(scene: Scene) -> Command:
    """SIGCHLD is ignored, as some programs leave it for the programs that they start."""
    return Command(("check", *ON_PAPER, "--python", scene.target()), script="trap '' CHLD; exec \"$@\"")


@row("W", 0, 1, 3)
def target_that_stops_itself(scene: Scene) -> Command:
    """Torch stops its own process (SIGSTOP): the time limit counts."""
    source = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"
    return Command(("check", "--timeout", "5", "--python", scene.target(torch=source)))


def _no_line_is_lost(scene: Scene, _: Ran) -> str:
    lines = scene.path("train.py").read_text(encoding="utf-8").splitlines()
    numbers = [int(line.removeprefix("# mine ")) for line in lines if line.startswith("# mine ")]
    return "" if numbers == list(range(len(numbers))) else f"lines of the user are lost: {len(numbers)} are left"


@row("W", 0, 1, 2, changes=("tree/train.py",), verify=_no_line_is_lost)
def file_that_is_edited_during_a_fix(scene: Scene) -> Command:
    """Lines are added to the file all the time during `lint --fix`: it is refused, or no line is lost."""
    path = scene.file("train.py", HALF_LOOP)

    def meanwhile(running: Running) -> None:
        number = 0
        while running.process.poll() is None:
            with path.open("a", encoding="utf-8") as file:
                file.write(f"# mine {number}\n")
            number += 1
            time.sleep(0.05)

    return Command(_FIX, meanwhile=meanwhile)


@row("W", 0, 1, 3)
def signals_that_are_blocked(scene: Scene) -> Command:
    """All signals are blocked by the program that starts the doctor, and torch hangs: the time limit counts."""
    block = "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))"
    source = f"import os, signal, sys; {block}; os.execvp(sys.argv[1], sys.argv[1:])"
    script = f'exec {sys.executable} -c {shlex.quote(source)} "$@"'
    python = scene.target(torch="import time; time.sleep(300)")
    return Command(("check", "--timeout", "5", "--python", python), script=script)
