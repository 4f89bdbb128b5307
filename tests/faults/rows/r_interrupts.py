"""R. Early interrupts, owners of files, and exceptions that are hostile themselves."""

from __future__ import annotations

import os
import signal
import stat
import time
from typing import TYPE_CHECKING

from tests.faults.model import Command, Expected, Row, row, rows
from tests.faults.scene import HALF_LOOP, needs_root

if TYPE_CHECKING:
    from tests.faults.model import Ran
    from tests.faults.running import Running
    from tests.faults.scene import Scene

_INTERRUPTED = 3


def _early(milliseconds: int) -> Row:
    def meanwhile(running: Running) -> None:
        time.sleep(milliseconds / 1000)
        running.send(signal.SIGINT)

    def plan(scene: Scene) -> Command:
        scene.file("train.py", HALF_LOOP)
        return Command(("lint", "."), meanwhile=meanwhile)

    # Before the first line of the doctor, Python itself ends with the signal, or with a traceback of `site`.
    expected = Expected((_INTERRUPTED, -signal.SIGINT, 1))
    return Row(
        "R",
        f"interrupt_after_{milliseconds}_milliseconds",
        f"SIGINT {milliseconds} ms after the start.",
        plan,
        expected,
    )


EARLY = tuple(map(_early, (400, 800, 1_500, 2_500)))


@row("R", _INTERRUPTED, says="vc2doctor: interrupted", in_suite=True)
def interrupt_in_the_first_lines(_: Scene) -> Command:
    """SIGINT as soon as the first module of the doctor is loaded, before its other imports."""
    source = (
        "import os, signal, sys\n"
        "class Send:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'vc2doctor.cli.main': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Send())\n"
        "import runpy; runpy.run_module('vc2doctor', run_name='__main__')\n"
    )
    import sys  # noqa: PLC0415 - for this row

    return Command(("--help",), python=(sys.executable, "-c", source))


def _same_owner_and_mode(scene: Scene, _: Ran) -> str:
    status = scene.path("train.py").stat()
    is_same = (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (65534, 65534, 0o640)
    return "" if is_same else f"owner {status.st_uid}:{status.st_gid}, mode {stat.S_IMODE(status.st_mode):o}"


@row("R", 0, 1, changes=("tree/train.py",), verify=_same_owner_and_mode)
def fix_as_root(scene: Scene) -> Command:
    """Root fixes a file of another user with mode 640: both stay."""
    needs_root()
    path = scene.file("train.py", HALF_LOOP, 0o640)
    os.chown(path, 65534, 65534)
    return Command(("lint", "--fix", "--precision", "bf16", "--allow-dirty", "."))


def _link_stays(scene: Scene, _: Ran) -> str:
    return "" if scene.path("train.py").is_symlink() else "the link was replaced by a file"


@row("R", 0, 1, changes=("tree/real.py", "tree/train.py"), verify=_link_stays)
def fix_of_a_linked_file(scene: Scene) -> Command:
    """The file that is fixed is a link: it stays one."""
    scene.file("real.py", HALF_LOOP)
    scene.link("train.py", "real.py")
    return Command(("lint", "--fix", "--precision", "bf16", "--allow-dirty", "train.py"))


@row("R", 0, 1, 2)
def fix_of_a_read_only_folder(scene: Scene) -> Command:
    """The folder of the file that is fixed may not be written to (root may)."""
    scene.file("code/train.py", HALF_LOOP)
    scene.path("code").chmod(0o555)
    words = ("lint", "--fix", "--diff", "--precision", "bf16", "--allow-dirty", "code")
    return Command(words)


_ODD_ERROR = "class Odd(ImportError):\n    def {}(self): {}\nraise Odd('x')\n"


@rows(
    "R",
    {
        "whose_text_raises": _ODD_ERROR.format("__str__", "raise ValueError('again')"),
        "whose_text_ends_python": _ODD_ERROR.format("__str__", "import os; os._exit(5)"),
        "whose_text_is_a_number": _ODD_ERROR.format("__str__", "return 3"),
        "with_a_text_of_ten_megabytes": "raise ImportError('x' * 10_000_000)\n",
        "that_ends_python": "raise SystemExit(0)\n",
        "that_is_an_interrupt": "raise KeyboardInterrupt\n",
        "that_is_its_own_cause": "e = ImportError('x')\ne.__cause__ = e\nraise e\n",
        "in_a_group": "raise BaseExceptionGroup('x', [ImportError('y'), KeyboardInterrupt()])\n",
        "after_deep_recursion": "def f(): f()\nf()\n",
        "with_a_name_of_markup": "raise type('[/x]\\x1b[2J', (ImportError,), {})('x')\n",
    },
    1,
    3,
    says_not=("Fit to train", "\x1b[2J"),
)
def exception(scene: Scene, source: str) -> Command:
    """The import of torch raises an odd exception."""
    return Command(("check", "--timeout", "30", "--python", scene.target(torch=source)))
