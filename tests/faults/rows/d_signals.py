"""D. Signals at many moments: nothing is left, neither a process nor a file."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from tests.faults.model import Command, Expected, NotPossibleError, Row, row
from tests.faults.scene import HALF_LOOP

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.running import Running
    from tests.faults.scene import Scene

_HANG = "import time; time.sleep(300)"
_GRANDCHILDREN = "import os\nif not os.fork():\n    os.setsid()\n    os.fork()\n"
_SCRATCH = "import os, tempfile\nos.mkdir(os.path.join(tempfile.mkdtemp(), 'work'))\n"
_INTERRUPTED = 3


def _facts(scene: Scene) -> str:
    return scene.target(sitecustomize=f"{scene.sign('started')}\n{_HANG}")


def _imports(scene: Scene) -> str:
    return scene.target(torch=f"{scene.sign('started')}\n{_HANG}")


def _grandchildren(scene: Scene) -> str:
    return scene.target(torch=f"{_GRANDCHILDREN}{scene.sign('started')}\n{_HANG}")


def _scratch_files(scene: Scene) -> str:
    return scene.target(transformers=f"{_SCRATCH}{scene.sign('started')}\n{_HANG}")


_MOMENTS = {
    "while_the_target_is_described": _facts,
    "while_torch_is_imported": _imports,
    "while_grandchildren_run": _grandchildren,
    "while_the_target_has_temporary_files": _scratch_files,
}
_SIGNALS = {
    "hangup": (signal.SIGHUP, -signal.SIGHUP),
    "quit": (signal.SIGQUIT, -signal.SIGQUIT),
    "kill": (signal.SIGKILL, -signal.SIGKILL),
    "termination": (signal.SIGTERM, _INTERRUPTED),
    "interrupt": (signal.SIGINT, _INTERRUPTED),
    "alarm": (signal.SIGALRM, -signal.SIGALRM),
}


def _signaled(name: str, moment: str, target: Callable[[Scene], str]) -> Row:
    number, code = _SIGNALS[name]

    def meanwhile(running: Running) -> None:
        running.wait_for_sign("started")
        running.send(number)

    def plan(scene: Scene) -> Command:
        return Command(("check", "--python", target(scene)), meanwhile=meanwhile)

    words = moment.replace("_", " ")
    sentence = f"{signal.Signals(number).name} {words}."
    return Row(
        "D", f"{name}_{moment}", sentence, plan, Expected((code,)), in_suite=name == "kill" and "grand" in moment
    )


ENDED = tuple(
    _signaled(name, moment, target)
    for name in _SIGNALS
    for moment, target in _MOMENTS.items()
    # The others of the last two moments would show nothing new.
    if name in ("hangup", "kill") or target is _imports
)


@row("D", -signal.SIGKILL)
def kill_after_stop(scene: Scene) -> Command:
    """SIGSTOP, and SIGKILL a second later, while torch is imported."""

    def meanwhile(running: Running) -> None:
        running.wait_for_sign("started")
        running.send(signal.SIGSTOP)
        time.sleep(1)
        running.send(signal.SIGKILL)

    return Command(("check", "--python", _grandchildren(scene)), meanwhile=meanwhile)


@row("D", _INTERRUPTED, says="interrupted")
def interrupt_of_the_whole_group(scene: Scene) -> Command:
    """Ctrl-C, which a terminal sends to every process of the group."""

    def meanwhile(running: Running) -> None:
        running.wait_for_sign("started")
        running.send_to_group(signal.SIGINT)

    return Command(("check", "--python", _grandchildren(scene)), meanwhile=meanwhile)


@row("D", _INTERRUPTED, -signal.SIGINT)
def impatient_interrupts(scene: Scene) -> Command:
    """Ctrl-C five times, a tenth of a second apart."""

    def meanwhile(running: Running) -> None:
        running.wait_for_sign("started")
        for _ in range(5):
            running.send_to_group(signal.SIGINT)
            time.sleep(0.1)

    return Command(("check", "--python", _grandchildren(scene)), meanwhile=meanwhile)


@row("D", -signal.SIGHUP, 3, 1)
def terminal_that_is_closed(scene: Scene) -> Command:
    """The terminal of the doctor is closed while torch is imported, as by the end of an SSH connection."""

    def meanwhile(running: Running) -> None:
        running.wait_for_sign("started")
        if running.terminal is None:
            message = "there is no terminal"
            raise NotPossibleError(message)
        running.terminal.hang_up()
        running.send_to_group(signal.SIGHUP)

    return Command(("check", "--python", _grandchildren(scene)), is_on_terminal=True, meanwhile=meanwhile)


def _complete_or_untouched(scene: Scene, _: object) -> str:
    files = [scene.path(f"train{n}.py").read_text(encoding="utf-8") for n in range(_FILES)]
    whole = all(text == HALF_LOOP or text.endswith("optimizer.zero_grad()\n") for text in files)
    return "" if whole else "a file was cut off"


_FILES = 3


def _fix_killed_after(seconds: float) -> Row:
    def meanwhile(running: Running) -> None:
        time.sleep(seconds)
        running.send(signal.SIGKILL)

    def plan(scene: Scene) -> Command:
        for number in range(_FILES):
            scene.file(f"train{number}.py", HALF_LOOP)
        return Command(("lint", "--fix", "--precision", "bf16", "--allow-dirty", "."), meanwhile=meanwhile)

    expected = Expected((-signal.SIGKILL, 0, 1), changes=("tree/train*.py",), verify=_complete_or_untouched)
    sentence = f"SIGKILL {seconds} s after the start of `lint --fix`: each file is the old one or the new one."
    return Row("D", f"kill_of_a_fix_after_{round(seconds * 10)}_tenths", sentence, plan, expected)


KILLED_FIXES = tuple(map(_fix_killed_after, (1.0, 4.0)))


@row("D", 0, 1)
def scratch_folder_of_a_killed_run_is_removed_by_the_next(scene: Scene) -> Command:
    """An earlier doctor and its janitor were killed together: the next run removes what they left."""
    folder = scene.temporary / "vc2doctor-0123456789abcdef"
    folder.mkdir(mode=0o700)
    (folder / ".vc2doctor-lock").touch()
    (folder / "weights.bin").write_bytes(b"x" * 1000)
    return Command(("check", "--python", scene.target()))
