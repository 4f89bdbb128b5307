"""Whatever ends the doctor or a supervisor: nothing of the child is left, and no scratch folder."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.processes import (
    MARK,
    default_signals,
    expect_nothing_left,
    kill_all,
    marked,
    needs_proc,
    new_mark,
    wait_until,
)
from vc2doctor.core import supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = needs_proc

WORKER = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)

def live(name):
    with open(os.path.join(os.environ["PIDS"], name), "w") as file:
        file.write(str(os.getpid()))
    time.sleep(300)

if not os.fork():
    live("child")
if not os.fork():
    os.setsid()
    live("own-session")
if not os.fork():
    os.setsid()
    if not os.fork():
        for descriptor in range(10):
            try: os.close(descriptor)
            except OSError: pass
        live("daemon")
    os._exit(0)
if os.environ.get("ENDS"):
    while len(os.listdir(os.environ["PIDS"])) < 3:
        time.sleep(0.02)
    sys.exit(5)
with open(os.path.join(os.environ["SCRATCH"], "file"), "w") as file:
    file.write("x")
live("worker")
"""
"""A child with three of its own: in its group, in a session of its own, and a daemon."""

DOCTOR = """
import os, sys
from vc2doctor.core import child, scratch, supervisor
supervisor.__file__ = os.environ.get("SUPERVISOR") or supervisor.__file__
with scratch.folder() as folder:
    variables = {**os.environ, "SCRATCH": str(folder)}
    done = child.run(lambda _: [sys.executable, "-c", sys.argv[1]], variables, float(sys.argv[2]), lambda _: None)
print(done.ending, done.code, done.signal)
"""


class Doctor:
    """A process that runs the worker, as the doctor does."""

    def __init__(self, folder: Path) -> None:
        self.mark = new_mark()
        self.temporary, self.pids = folder / "tmp", folder / "pids"
        self.temporary.mkdir()
        self.pids.mkdir()
        self.process: subprocess.Popen[str] | None = None

    def start(self, timeout: float = 120.0, **variables: str) -> subprocess.Popen[str]:
        environment = {**os.environ, MARK: self.mark, "TMPDIR": str(self.temporary), "PIDS": str(self.pids)}
        with default_signals():
            self.process = subprocess.Popen(
                [sys.executable, "-c", DOCTOR, WORKER, str(timeout)],
                env={**environment, **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        return self.process

    def wait_for_worker(self) -> None:
        wait_until(lambda: len(list(self.pids.iterdir())) == 4, "the worker and its children run")

    def supervisors(self) -> list[int]:
        """Return the supervisors, the outer one first."""
        return sorted(pid for pid, command in marked(self.mark).items() if "supervisor.main(" in command)

    def expect_nothing_left(self) -> None:
        expect_nothing_left(self.mark, self.temporary)

    def output(self) -> str:
        assert self.process is not None
        return self.process.communicate(timeout=40)[0].strip()


@pytest.fixture
def doctor(tmp_path: Path) -> Iterator[Doctor]:
    started = Doctor(tmp_path)
    yield started
    kill_all(started.mark)
    if started.process is not None:
        started.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_nothing_is_left_when_a_signal_ends_the_doctor(doctor: Doctor, number: int) -> None:
    process = doctor.start()
    doctor.wait_for_worker()
    process.send_signal(number)
    doctor.expect_nothing_left()


def test_nothing_is_left_when_the_doctor_is_stopped_and_then_killed(doctor: Doctor) -> None:
    process = doctor.start()
    doctor.wait_for_worker()
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    assert marked(doctor.mark), "a doctor that is only stopped goes on later"
    process.send_signal(signal.SIGKILL)
    doctor.expect_nothing_left()


def test_time_limit_holds_while_the_doctor_is_stopped(doctor: Doctor) -> None:
    process = doctor.start(timeout=4.0)
    doctor.wait_for_worker()
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: not any("-c \nimport os, signal" in command for command in marked(doctor.mark).values()), "end")
    process.send_signal(signal.SIGCONT)
    assert doctor.output() == "timeout None SIGKILL"
    doctor.expect_nothing_left()


def test_nothing_is_left_when_the_terminal_closes(doctor: Doctor) -> None:
    screen, terminal = pty.openpty()
    command = [sys.executable, "-c", f"import fcntl, os, sys, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{DOCTOR}"]
    environment = {**os.environ, MARK: doctor.mark, "TMPDIR": str(doctor.temporary), "PIDS": str(doctor.pids)}
    with default_signals():
        process = subprocess.Popen(
            [*command, WORKER, "120"],
            env=environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
    os.close(terminal)
    doctor.wait_for_worker()
    os.close(screen)
    doctor.expect_nothing_left()
    assert process.wait() == -signal.SIGHUP


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.3, 0.4, 0.6])
def test_nothing_is_left_when_the_doctor_is_killed_at_any_moment(doctor: Doctor, delay: float) -> None:
    process = doctor.start()
    if delay:
        # The start of Python takes most of the time, so the moments are counted from the end of it.
        wait_until(lambda: bool(list(doctor.temporary.iterdir())), "the scratch folder is there")
    time.sleep(delay)
    process.kill()
    doctor.expect_nothing_left()


def test_nothing_is_left_after_a_time_limit(doctor: Doctor) -> None:
    doctor.start(timeout=3.0)
    assert doctor.output() == "timeout None SIGKILL"
    assert not marked(doctor.mark)
    doctor.expect_nothing_left()


def test_what_the_worker_started_ends_with_it(doctor: Doctor) -> None:
    doctor.start(ENDS="1")
    assert doctor.output() == "exit 5 None"
    assert not marked(doctor.mark), "all was ended before the doctor went on"
    doctor.expect_nothing_left()


def test_many_sessions_and_a_process_that_always_forks_anew_are_ended(doctor: Doctor) -> None:
    source = """
import os, signal, sys, time
for _ in range(200):
    if not os.fork():
        os.setsid()
        time.sleep(300)
        os._exit(0)
if not os.fork():
    os.setsid()
    while True:
        if os.fork():
            os._exit(0)
"""
    environment = {**os.environ, MARK: doctor.mark, "TMPDIR": str(doctor.temporary)}
    command = [sys.executable, "-c", DOCTOR, source, "100"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("exit 0 None\n", "")
    doctor.expect_nothing_left()


@pytest.mark.skipif(os.geteuid() == 0, reason="the limit does not hold for root")
def test_lack_of_processes_is_one_message(doctor: Doctor) -> None:
    script = "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))\n" + DOCTOR
    environment = {**os.environ, MARK: doctor.mark, "TMPDIR": str(doctor.temporary)}
    done = subprocess.run([sys.executable, "-c", script, "", "9"], env=environment, capture_output=True, check=False)
    assert done.stderr.splitlines()[-1].startswith(b"vc2doctor.core.child.SupervisorError: ")
    doctor.expect_nothing_left()


def test_lack_of_descriptors_is_one_message(doctor: Doctor) -> None:
    script = "import os\nos.dup2(0, 40)\n" + DOCTOR.replace(
        "with scratch", "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (14, 14))\nwith scratch"
    )
    environment = {**os.environ, MARK: doctor.mark, "TMPDIR": str(doctor.temporary)}
    done = subprocess.run([sys.executable, "-c", script, "", "9"], env=environment, capture_output=True, check=False)
    assert b"SupervisorError: the doctor cannot" in done.stderr.splitlines()[-1]
    doctor.expect_nothing_left()


@pytest.mark.parametrize("which", [0, 1])
def test_nothing_is_left_when_one_supervisor_is_killed(doctor: Doctor, which: int) -> None:
    doctor.start()
    doctor.wait_for_worker()
    os.kill(doctor.supervisors()[which], signal.SIGKILL)
    assert doctor.output().startswith("signal None SIGKILL")
    doctor.expect_nothing_left()


def test_worker_ends_when_both_supervisors_are_killed_at_once(doctor: Doctor) -> None:
    doctor.start()
    doctor.wait_for_worker()
    for pid in doctor.supervisors():
        os.kill(pid, signal.SIGSTOP)
    for pid in doctor.supervisors():
        os.kill(pid, signal.SIGKILL)
    assert doctor.output().startswith("signal None SIGKILL")
    worker = int((doctor.pids / "worker").read_text(encoding="utf-8"))
    wait_until(lambda: worker not in marked(doctor.mark), "the worker ends")


def test_signal_to_a_supervisor_ends_everything(doctor: Doctor) -> None:
    doctor.start()
    doctor.wait_for_worker()
    os.kill(doctor.supervisors()[0], signal.SIGTERM)
    assert doctor.output().startswith("signal None SIGKILL")
    doctor.expect_nothing_left()


def test_supervisor_that_the_worker_stopped_does_not_keep_the_worker_alive(doctor: Doctor) -> None:
    process = doctor.start()
    doctor.wait_for_worker()
    os.kill(doctor.supervisors()[1], signal.SIGSTOP)
    process.kill()
    doctor.expect_nothing_left()


def test_next_run_removes_what_a_killed_tree_left(doctor: Doctor) -> None:
    doctor.start()
    doctor.wait_for_worker()
    for _ in range(3):
        kill_all(doctor.mark)
    wait_until(lambda: not marked(doctor.mark), lambda: marked(doctor.mark))
    assert len(list(doctor.temporary.iterdir())) == 1
    for file in doctor.pids.iterdir():
        file.unlink()
    doctor.output()
    doctor.start(ENDS="1")
    assert doctor.output() == "exit 5 None"
    doctor.expect_nothing_left()


class TestWithoutPrctl:
    """What holds where the kernel offers neither death signals nor the adoption of orphans (macOS)."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> str:
        source = Path(supervisor.__file__).read_text(encoding="utf-8")
        changed = source.replace('sys.platform.startswith("linux")', "False")
        changed = changed.replace("_ALARM_SECONDS = 30", "_ALARM_SECONDS = 1")
        assert changed.count("False") > source.count("False")
        (tmp_path / "supervisor.py").write_text(changed, encoding="utf-8")
        return str(tmp_path / "supervisor.py")

    def in_group(self, doctor: Doctor) -> set[int]:
        """Return the worker and its child in the same process group."""
        return {int((doctor.pids / name).read_text(encoding="utf-8")) for name in ("worker", "child")}

    def test_group_ends_when_the_doctor_is_killed(self, doctor: Doctor, file: str) -> None:
        process = doctor.start(SUPERVISOR=file)
        doctor.wait_for_worker()
        process.kill()
        wait_until(lambda: not self.in_group(doctor) & marked(doctor.mark).keys(), lambda: marked(doctor.mark))
        wait_until(lambda: not list(doctor.temporary.iterdir()), "the scratch folder is gone")

    def test_group_ends_at_the_time_limit(self, doctor: Doctor, file: str) -> None:
        doctor.start(timeout=3.0, SUPERVISOR=file)
        doctor.wait_for_worker()
        assert doctor.process is not None
        doctor.process.wait(40)
        assert not self.in_group(doctor) & marked(doctor.mark).keys()

    def test_group_ends_when_the_supervisors_are_killed(self, doctor: Doctor, file: str) -> None:
        doctor.start(SUPERVISOR=file)
        doctor.wait_for_worker()
        for pid in doctor.supervisors():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.in_group(doctor) & marked(doctor.mark).keys(), lambda: marked(doctor.mark))

    def test_worker_ends_itself_when_it_outlives_all_others(self, doctor: Doctor, file: str) -> None:
        process = doctor.start(timeout=3.0, SUPERVISOR=file)
        doctor.wait_for_worker()
        process.send_signal(signal.SIGSTOP)
        for pid in doctor.supervisors():
            os.kill(pid, signal.SIGSTOP)
        for pid in (*doctor.supervisors(), process.pid):
            os.kill(pid, signal.SIGKILL)
        worker = int((doctor.pids / "worker").read_text(encoding="utf-8"))
        wait_until(lambda: worker not in marked(doctor.mark), "the alarm ends the worker")


def test_job_survives_the_way_through_a_pipe() -> None:
    job = supervisor.Job(1.5, [3, 4], [b"/bin/x", b"", b"\xff\n"], [b"A=1=2", b"B="])
    reader, writer = os.pipe()
    os.write(writer, supervisor.pack(job))
    read = supervisor.read_job(reader)
    os.close(writer)
    assert supervisor.read_job(reader) is None
    os.close(reader)
    assert read is not None
    assert vars(read) == vars(job)


def test_descendants_are_found_without_the_children_files(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = "import time; print(1, flush=True); time.sleep(60)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    with_files = supervisor.descendants(process.pid)
    exists: Callable[[str], bool] = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: not str(path).endswith("/children") and exists(path))
    assert supervisor.descendants(process.pid) == with_files
    assert len(with_files) == 1
    for pid in (*with_files, process.pid):
        os.kill(pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_supervisor_runs_on_the_oldest_and_newest_python(version: str) -> None:
    import noxfile  # noqa: PLC0415

    python = noxfile.interpreter(version)
    if not Path(python).is_file():
        pytest.skip(f"Python {version} is not installed")
    source = (
        "import sys\nfrom vc2doctor.core import child\nsys.executable = sys.argv[1]\n"
        "done = child.run(lambda _: [sys.argv[1], '-c', 'raise SystemExit(4)'], {}, 20.0, print)\n"
        "print(done.ending, done.code)"
    )
    done = subprocess.run([sys.executable, "-c", source, python], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("exit 4\n", "")
