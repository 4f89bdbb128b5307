"""Runs a row of the fault table, and reports what is wrong afterwards."""

from __future__ import annotations

import fnmatch
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults import model
from tests.faults.running import Running, Terminal
from tests.faults.scene import ROOT, Scene
from tests.processes import MARK, marked, new_mark, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.faults.model import Command, Expected, Ran, Row

_LIMITS = f"ulimit -S -t {model.MAX_CPU_SECONDS} -v {model.MAX_MEMORY_KIB}\nulimit -c 0\n"
_HIDDEN_VARIABLES = (
    *("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONWARNINGS", "HF_HOME", "XDG_CACHE_HOME"),
    # It would hide a doctor that writes bytecode into the target, and makes each run compile all modules again.
    *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"),
)
_ENDING_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_CALM_SECONDS = 15.0
"""How long processes may take to end, and scratch folders to go, after the doctor has ended, on a loaded machine."""
_MAX_LOAD = 4.0
"""On a machine with more processes than processors, a row may take as much longer, up to this factor."""
_ALWAYS_WRONG = ("Traceback (most recent call last)", "this is a bug of the doctor")
_MAX_QUOTED_CHARACTERS = 1200
_MAX_STREAM_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Result:
    """What a row showed."""

    ran: Ran
    faults: tuple[str, ...]
    """What is wrong, in words; none: the row is green."""


def run(row: Row, variables: Mapping[str, str] | None = None, max_seconds: float = model.MAX_SECONDS) -> Result:
    """Do what ``row`` says in a new folder, with these additional environment variables, for at most ``max_seconds``.

    Raises:
        NotPossibleError: this machine cannot do it.
    """
    with _folder() as root:
        scene, mark = Scene(root), new_mark()
        command = row.plan(scene)
        before = scene.digest()
        ran, session = _run(command, scene, mark, variables or {}, max_seconds)
        faults = [
            *_left(scene, mark, session),
            *judge(row.expected, ran),
            *_changes(before, scene.digest(), row.expected),
        ]
        faults.append(_verify(row.expected, scene, ran))
        return Result(ran, tuple(fault for fault in faults if fault))


def _verify(expected: Expected, scene: Scene, ran: Ran) -> str:
    try:
        return expected.verify(scene, ran) if expected.verify is not None else ""
    except OSError as error:
        return f"a file that the run should have left cannot be read: {error}"


def judge(expected: Expected, ran: Ran) -> Iterator[str]:
    """Yield what is wrong with the exit code and the output of a run."""
    output = f"it printed:\n{ran.out[-_MAX_QUOTED_CHARACTERS:]}\n{ran.err[-_MAX_QUOTED_CHARACTERS:]}"
    if ran.code is None:
        yield f"it hung for {ran.seconds:.0f} s; {output}"
    elif ran.code not in expected.codes:
        wanted = " or ".join(map(str, expected.codes))
        yield f"exit code {ran.code}, expected {wanted}; {output}"
    yield from (f"its output lacks {text!r}; {output}" for text in expected.says if text not in ran.text)
    wrong = (*_ALWAYS_WRONG, *expected.says_not)
    yield from (f"its output holds {text!r}; {output}" for text in wrong if text in f"{ran.text}\n{ran.out}\n{ran.err}")


def _run(
    command: Command, scene: Scene, mark: str, variables: Mapping[str, str], max_seconds: float
) -> tuple[Ran, int]:
    terminal = Terminal() if command.is_on_terminal else None
    out, err = scene.root / "out", scene.root / "err"
    start_time, cpu_before = time.monotonic(), _children_cpu()
    with out.open("wb") as out_file, err.open("wb") as err_file, _default_signals():
        words = command.python or (sys.executable, "-m", "vc2doctor")
        process = subprocess.Popen(
            [_bash(), "-c", _LIMITS + command.script, "bash", *words, *command.words],
            cwd=command.folder or scene.tree,
            env=_environment(command, scene, mark, variables),
            stdin=subprocess.DEVNULL if terminal is None else terminal.slave,
            stdout=out_file if terminal is None else terminal.slave,
            stderr=err_file if terminal is None else terminal.slave,
            start_new_session=True,
        )
    running = Running(process, scene, mark, terminal)
    if terminal is not None:
        terminal.start()
    try:
        if command.meanwhile is not None:
            command.meanwhile(running)
        code: int | None = process.wait(max_seconds * _load())
    except subprocess.TimeoutExpired:
        running.end_all()
        process.wait()
        code = None
    if code == -signal.SIGXCPU:
        code = None
    seconds, cpu_seconds = time.monotonic() - start_time, _children_cpu() - cpu_before
    printed = (_start(out), _start(err)) if terminal is None else (_text(terminal.finish()), "")
    return model.Ran(code, *printed, seconds, cpu_seconds), process.pid


def _load() -> float:
    return min(max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), _MAX_LOAD)


def _bash() -> str:
    """Return the full path of bash, because a row may change ``PATH``.

    Raises:
        NotPossibleError: it is not installed.
    """
    path = shutil.which("bash")
    if path is None:
        message = "bash is not installed"
        raise model.NotPossibleError(message)
    return path


def _environment(command: Command, scene: Scene, mark: str, variables: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _HIDDEN_VARIABLES}
    of_row = {
        **inherited,
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": str(ROOT),
        "HOME": str(scene.home),
        "TMPDIR": str(scene.temporary),
        # Answers are kept there, and not in the home folder, which a run must not change.
        "XDG_CACHE_HOME": str(scene.cache),
        MARK: mark,
        **command.variables,
        **variables,
    }
    return {name: value for name, value in of_row.items() if value is not None}


def _left(scene: Scene, mark: str, session: int) -> Iterator[str]:
    """Yield what the run left behind: processes, and files in its temporary folder."""
    deadline = time.monotonic() + _CALM_SECONDS
    while (_processes(scene, mark, session) or _entries(scene.temporary)) and time.monotonic() < deadline:
        time.sleep(0.05)
    processes, files = _processes(scene, mark, session), _entries(scene.temporary)
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if processes:
        yield f"it left processes: {sorted(processes.values())}"
    if files:
        yield f"it left files in its temporary folder: {files}"


def _processes(scene: Scene, mark: str, session: int) -> dict[int, str]:
    """Return what is left of a run: its session, what has its mark in the environment, or its folder in a word."""
    found = marked(mark)
    for name in _entries(Path("/proc")):
        if name.isdigit() and int(name) not in found:
            words = read(f"/proc/{name}/cmdline")
            # The name of the program, in parentheses, can hold anything.
            fields = read(f"/proc/{name}/stat").rpartition(b")")[2].split()
            is_ended = fields[:1] in ([], [b"Z"])
            if not is_ended and (int(fields[3]) == session or os.fsencode(scene.root) in words):
                found[int(name)] = words.replace(b"\0", b" ").decode("utf-8", "replace")
    return found


def _entries(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.is_dir() else []  # noqa: PTH208 - names may not be text


def _changes(before: dict[str, str], after: dict[str, str], expected: Expected) -> Iterator[str]:
    """Yield which files a run changed that it must not change."""
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) == after.get(name) or any(fnmatch.fnmatch(name, allowed) for allowed in expected.changes):
            continue
        yield f"{name!r} was {before.get(name, 'missing')}, and is {after.get(name, 'missing')}"


@contextmanager
def _default_signals() -> Iterator[None]:
    """Start children without ignored signals: ``nohup``, and a shell that runs this in the background, ignore some."""
    ignored = [number for number in _ENDING_SIGNALS if signal.getsignal(number) is signal.SIG_IGN]
    try:
        for number in ignored:
            signal.signal(number, signal.SIG_DFL)
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a new folder, and remove it with everything in it, whatever its mode is."""
    root = Path(os.path.realpath(tempfile.mkdtemp(prefix="faults-")))
    try:
        yield root
    finally:
        for parent, folders, _ in os.walk(root):
            for name in folders:
                path = Path(parent, name)
                with suppress(OSError):
                    if not path.is_symlink():
                        path.chmod(stat.S_IRWXU)
        shutil.rmtree(root, ignore_errors=True)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _start(path: Path) -> str:
    with path.open("rb") as file:
        return _text(file.read(_MAX_STREAM_BYTES))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
