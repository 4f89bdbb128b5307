"""Children that do everything a target may do."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from vc2doctor.core import child
from vc2doctor.core.child import ChildRun, TargetError

if TYPE_CHECKING:
    from pathlib import Path


def run(source: str, timeout: float = 20.0) -> tuple[ChildRun, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    script = f"import json, os, sys, time, signal\nfd = int(sys.argv[1])\n{source}"
    done = child.run(lambda fd: [sys.executable, "-c", script, str(fd)], os.environ, timeout, events.append)
    return done, events


def test_events_and_output_are_kept_apart() -> None:
    done, events = run("os.write(fd, b'{\"a\": 1}\\n'); print('{\"b\": 2}'); print('oh', file=sys.stderr)")
    assert (done.ending, done.code, done.signal) == ("exit", 0, None)
    assert events == [{"a": 1}]
    assert (done.output, done.errors) == ('{"b": 2}', "oh")


def test_an_event_may_come_in_pieces() -> None:
    _, events = run("os.write(fd, b'{\"a\"'); time.sleep(0.3); os.write(fd, b': 1}\\n{\"b\": 2}\\n')")
    assert events == [{"a": 1}, {"b": 2}]


def test_exit_code() -> None:
    done, _ = run("sys.exit(7)")
    assert (done.ending, done.code) == ("exit", 7)


def test_death_by_signal_keeps_what_was_said_before() -> None:
    done, events = run("os.write(fd, b'{}\\n'); sys.stderr.write('last words'); sys.stderr.flush(); os.kill(0, 11)")
    assert (done.ending, done.signal, done.code) == ("signal", "SIGSEGV", None)
    assert (events, done.errors) == ([{}], "last words")


def test_a_hang_ends_in_time_and_tells_where() -> None:
    source = "import faulthandler; faulthandler.register(signal.SIGTERM, chain=True)\ntime.sleep(60)"
    done, _ = run(source, timeout=1.0)
    assert done.ending == "timeout"
    assert done.seconds < 10
    assert "most recent call first" in done.errors


def test_a_hang_that_ignores_sigterm_ends_as_well() -> None:
    done, _ = run("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)", timeout=0.5)
    assert (done.ending, done.signal) == ("timeout", "SIGKILL")


def test_rubbish_is_counted() -> None:
    done, events = run("os.write(fd, b'nonsense\\n[1]\\n\\xff\\xfe\\n{\"ok\": 1}\\n')")
    assert done.malformed_events == 3
    assert events == [{"ok": 1}]


def test_deeply_nested_rubbish_is_counted() -> None:
    done, _ = run("os.write(fd, b'[' * 60000 + b'\\n')")
    assert done.malformed_events == 1


def test_a_line_without_end_is_dropped_and_the_next_is_read() -> None:
    source = """
for _ in range(40):
    os.write(fd, b'x' * 65536)
os.write(fd, b'\\n{"ok": 1}\\n')
"""
    done, events = run(source)
    assert events == [{"ok": 1}]
    assert done.malformed_events == 1


def test_a_flood_of_output_keeps_its_end() -> None:
    done, _ = run("sys.stdout.write('y' * 50_000_000 + 'the end')")
    assert done.ending == "exit"
    assert len(done.output) <= 16 * 1024
    assert done.output.endswith("the end")


def test_a_flood_of_events_is_ended() -> None:
    done, _ = run("while True: os.write(fd, b'{}\\n' * 20000)", timeout=60)
    assert done.ending == "flood"


def test_a_stray_process_is_neither_waited_for_nor_left(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    source = f"""
pid = os.fork()
if pid == 0:
    time.sleep(60)
open({str(note)!r}, 'w').write(str(pid))
"""
    done, _ = run(source)
    assert (done.ending, done.code) == ("exit", 0)
    assert done.seconds < 10
    assert is_gone(int(note.read_text(encoding="utf-8")))


def is_gone(pid: int) -> bool:
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        # An orphan that nobody has reaped yet is dead as well.
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.1)
    return False


def test_nothing_to_start() -> None:
    with pytest.raises(TargetError, match="cannot run /nowhere/python: No such file"):
        child.run(lambda _: ["/nowhere/python"], {}, 1.0, lambda _: None)


def test_an_interrupt_ends_the_child(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    source = f"open({str(note)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 1.5)
    try:
        done, _ = run(source)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert done.ending == "interrupted"
    assert is_gone(int(note.read_text(encoding="utf-8")))


def test_an_error_of_the_listener_ends_the_child_at_once(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    source = (
        f"import os, time\nopen({str(note)!r}, 'w').write(str(os.getpid()))\n"
        "os.write(int(__import__('sys').argv[1]), b'{}\\n')\ntime.sleep(60)"
    )

    def fail(_: dict[str, Any]) -> None:
        message = "a fault of the doctor's own"
        raise ValueError(message)

    started = time.monotonic()
    with pytest.raises(ValueError, match="of the doctor's own"):
        child.run(lambda fd: [sys.executable, "-c", source, str(fd)], os.environ, 30.0, fail)
    assert time.monotonic() - started < 20
    assert is_gone(int(note.read_text(encoding="utf-8")))


def test_no_descriptor_is_left_open() -> None:
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []  # noqa: PTH112, PTH208
    run("pass")
    after = os.listdir("/proc/self/fd") if before else []  # noqa: PTH208
    assert len(after) == len(before)
