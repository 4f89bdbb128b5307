"""Processes that tests start and look for: each carries a mark in its environment, which its children inherit."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import uuid
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MARK = "VC2DOCTOR_TEST_MARK"
PATIENCE = 40.0
"""Seconds that a loaded machine may need."""

needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")


def new_mark() -> str:
    return uuid.uuid4().hex


@contextlib.contextmanager
def default_signals() -> Iterator[None]:
    """Let a child start with the defaults: tests in the background of a shell, or under nohup, have some ignored."""
    numbers = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
    # A handler becomes the default when the child starts its program.
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def kill_all(mark: str) -> None:
    """Kill every process with this mark."""
    for pid in marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def marked(mark: str) -> dict[int, str]:
    """Return the command lines of the living processes with this mark, by process id."""
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and f"{MARK}={mark}".encode() in read(f"/proc/{name}/environ"):
            found[int(name)] = read(f"/proc/{name}/cmdline").replace(b"\0", b" ").decode("utf-8", "replace")
    return found


def read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return b""


def wait_until(condition: Callable[[], bool], what: str | Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not in {PATIENCE:.0f} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.02)


def expect_nothing_left(mark: str, temporary: Path | None = None) -> None:
    """Wait until no process with the mark is left, and nothing is in the temporary folder."""
    wait_until(lambda: not marked(mark), lambda: marked(mark))
    if temporary is not None:
        wait_until(lambda: not list(temporary.iterdir()), lambda: list(temporary.iterdir()))
