"""Child processes that do everything a target may do: print, crash, hang, flood, fork."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from vc2doctor.core import child
from vc2doctor.core.child import Channel, ChildRun, TargetError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


START = """
import json, os, sys, time, signal
fd = int(sys.argv[1])
with os.fdopen(int(sys.argv[2]), "rb") as pipe:
    secret = pipe.read().decode()
def line(**fields):
    return (json.dumps(dict(fields, secret=secret)) + "\\n").encode()
def send(**fields):
    os.write(fd, line(**fields))
"""


def command(source: str) -> Callable[[Channel], list[str]]:
    return lambda channel: [sys.executable, "-c", START + source, *map(str, channel)]


def run(source: str, timeout: float = 20.0) -> tuple[ChildRun, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    child_run = child.run(command(source), os.environ, timeout, events.append)
    return child_run, events


def test_output_does_not_mix_with_events() -> None:
    child_run, events = run("send(a=1); print('{\"b\": 2}'); print('oh', file=sys.stderr)")
    assert (child_run.ending, child_run.code, child_run.signal) == ("exit", 0, None)
    assert events == [{"a": 1}]
    assert (child_run.output, child_run.errors) == ('{"b": 2}', "oh")


def test_event_that_arrives_in_two_parts_is_read_whole() -> None:
    _, events = run("a = line(a=1); os.write(fd, a[:9]); time.sleep(0.3); os.write(fd, a[9:] + line(b=2))")
    assert events == [{"a": 1}, {"b": 2}]


def test_exit_code_is_reported() -> None:
    child_run, _ = run("sys.exit(7)")
    assert (child_run.ending, child_run.code) == ("exit", 7)


def test_child_that_a_signal_kills_keeps_its_events_and_output() -> None:
    child_run, events = run("send(a=1); sys.stderr.write('last words'); sys.stderr.flush(); os.kill(0, 11)")
    assert (child_run.ending, child_run.signal, child_run.code) == ("signal", "SIGSEGV", None)
    assert (events, child_run.errors) == ([{"a": 1}], "last words")


def test_hanging_child_is_stopped_and_dumps_its_stack() -> None:
    source = "import faulthandler; faulthandler.register(signal.SIGTERM, chain=True)\ntime.sleep(60)"
    child_run, _ = run(source, timeout=1.0)
    assert child_run.ending == "timeout"
    assert child_run.seconds < 10
    assert "most recent call first" in child_run.errors


def test_hanging_child_that_ignores_sigterm_is_killed() -> None:
    child_run, _ = run("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)", timeout=0.5)
    assert (child_run.ending, child_run.signal) == ("timeout", "SIGKILL")


def test_lines_that_are_not_json_objects_are_counted() -> None:
    child_run, events = run("os.write(fd, b'nonsense\\n[1]\\n\\xff\\xfe\\n' + line(ok=1))")
    assert child_run.malformed_events == 3
    assert events == [{"ok": 1}]


def test_deeply_nested_json_is_counted_as_malformed() -> None:
    child_run, _ = run("os.write(fd, b'[' * 60000 + secret.encode() + b'\\n')")
    assert child_run.malformed_events == 1


def test_overlong_line_is_dropped_and_the_next_is_read() -> None:
    source = """
for _ in range(40):
    os.write(fd, b'x' * 65536)
os.write(fd, b'\\n' + line(ok=1))
"""
    child_run, events = run(source)
    assert events == [{"ok": 1}]
    assert child_run.malformed_events == 1


def test_only_the_end_of_long_output_is_kept() -> None:
    child_run, _ = run("sys.stdout.write('y' * 50_000_000 + 'the end')")
    assert child_run.ending == "exit"
    assert len(child_run.output) <= 16 * 1024
    assert child_run.output.endswith("the end")


def test_child_that_floods_the_event_pipe_is_stopped() -> None:
    child_run, _ = run("while True: os.write(fd, b'{}\\n' * 20000)", timeout=60)
    assert child_run.ending == "flood"


def test_grandchild_is_killed_and_not_waited_for(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    source = f"""
pid = os.fork()
if pid == 0:
    time.sleep(60)
open({str(pid_file)!r}, 'w').write(str(pid))
"""
    child_run, _ = run(source)
    assert (child_run.ending, child_run.code) == ("exit", 0)
    assert child_run.seconds < 10
    assert is_gone(int(pid_file.read_text(encoding="utf-8")))


def is_gone(pid: int) -> bool:
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        # A zombie is dead, too: its parent has not read its exit code yet.
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.1)
    return False


def test_program_that_does_not_exist_is_a_target_error() -> None:
    with pytest.raises(TargetError, match="cannot run /nowhere/python: No such file"):
        child.run(lambda _: ["/nowhere/python"], {}, 1.0, lambda _: None)


def test_interrupt_kills_the_child(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    source = f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 1.5)
    try:
        child_run, _ = run(source)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert child_run.ending == "interrupted"
    assert is_gone(int(pid_file.read_text(encoding="utf-8")))


def test_exception_in_the_event_handler_kills_the_child_at_once(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    source = f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\nsend()\ntime.sleep(60)"

    def fail(_: dict[str, Any]) -> None:
        message = "a bug of the doctor"
        raise ValueError(message)

    start_time = time.monotonic()
    with pytest.raises(ValueError, match="a bug of the doctor"):
        child.run(command(source), os.environ, 60.0, fail)
    assert time.monotonic() - start_time < 20
    assert is_gone(int(pid_file.read_text(encoding="utf-8")))


def test_every_file_descriptor_is_closed() -> None:
    open_before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []  # noqa: PTH112, PTH208
    run("pass")
    open_after = os.listdir("/proc/self/fd") if open_before else []  # noqa: PTH208
    assert len(open_after) == len(open_before)


def test_event_without_the_secret_of_the_run_is_malformed() -> None:
    source = """
send(ok=1)
os.write(fd, b'{"recorded": 1}\\n{"recorded": 1, "secret": "00"}\\n{"recorded": "%s"}\\n' % secret.encode())
"""
    child_run, events = run(source)
    assert events == [{"ok": 1}]
    assert child_run.malformed_events == 3


def test_secret_is_another_one_in_every_run() -> None:
    secrets = [run("send(read=secret)")[1][0]["read"] for _ in range(2)]
    assert secrets[0] != secrets[1]
    assert all(len(secret) == 32 for secret in secrets)


def test_child_gets_exactly_the_environment_arguments_and_signals_that_it_was_given() -> None:
    source = """
state = {n: signal.getsignal(n) for n in (1, 2, 3, 13, 14, 15, 17)}
send(names=sorted(os.environ), arguments=sys.argv[3:], blocked=len(signal.pthread_sigmask(0, [])),
     ignored=[n for n in state if state[n] is signal.SIG_IGN], leader=os.getsid(0) == os.getpid(),
     descriptors=sorted(int(n) for n in os.listdir("/proc/self/fd")), stdin=os.readlink("/proc/self/fd/0"))
"""
    events: list[dict[str, Any]] = []
    words = ["", "with space", "\udcff", "-x"]
    environment = {"A": "1=2", "B": "", "LC_ALL": "C.UTF-8", "BIG": "x" * 100_000}
    child.run(lambda channel: [*command(source)(channel), *words], environment, 20.0, events.append)
    (facts,) = events
    assert facts["names"] == sorted(environment)
    assert facts["arguments"] == words
    # Python itself ignores SIGPIPE, and in the background of a shell others are ignored in the doctor, too.
    ignored = [number for number in (1, 2, 3, 13, 14, 15, 17) if signal.getsignal(number) is signal.SIG_IGN]
    assert (facts["ignored"], facts["blocked"], facts["leader"]) == (ignored, 0, True)
    assert facts["stdin"] == "/dev/null"
    assert len(facts["descriptors"]) == 5, "0, 1, 2, the events, and the one that lists the folder"


def test_text_with_a_null_byte_is_a_target_error() -> None:
    with pytest.raises(TargetError, match="embedded null byte"):
        child.run(lambda _: [sys.executable, "a\0b"], {}, 1.0, lambda _: None)


def test_time_limit_of_any_size_is_accepted() -> None:
    child_run, _ = run("pass", timeout=1e300)
    assert child_run.ending == "exit"


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="finds the pipe below /proc")  # noqa: PTH112
def test_nonsense_in_the_pipe_of_the_supervisor_changes_nothing() -> None:
    source = """
parent = "/proc/%d/fd" % os.getppid()
for name in os.listdir(parent):
    try:
        link = os.path.join(parent, name)
        # Data in the pipe that ends the worker would end it.
        if os.readlink(link).startswith("pipe:") and os.lstat(link).st_mode & 0o200:
            pipe = os.open(os.path.join(parent, name), os.O_WRONLY | os.O_NONBLOCK)
            os.write(pipe, b"\\n\\xff\\nstarted\\nstarted 0\\nended\\nended exit\\nfailed x\\n")
    except OSError:
        pass
sys.exit(6)
"""
    child_run, _ = run(source)
    assert (child_run.ending, child_run.code) == ("exit", 6)
