"""Makes the input of a fault smaller. libFuzzer cannot: it would start the Python file as a program."""

from __future__ import annotations

import os
import signal
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.parsers import Parser, outcome

SECONDS = 60.0
HANG_SECONDS = 2.0
"""Processor time after which a smaller input counts as a hang. Real inputs take milliseconds."""
MAX_SECONDS = 120
"""Wall clock of one input that waits without using the processor."""


def minimized(parser: Parser, data: bytes, *, seconds: float = SECONDS, hang_seconds: float = HANG_SECONDS) -> bytes:
    """Return the smallest input with the fault of ``data`` that was found in ``seconds``.

    Pieces are left out, and smaller and smaller ones. ``data`` itself is returned if it has no fault here.
    """
    fault = fault_of(parser, data, hang_seconds)
    end = time.monotonic() + seconds
    size = 0 if fault is None else max(1, len(data) // 2)
    while size:
        start = 0
        while start < len(data) and time.monotonic() < end:
            shorter = data[:start] + data[start + size :]
            if fault_of(parser, shorter, hang_seconds) == fault:
                data = shorter
            else:
                start += size
        size //= 2
    return data


def fault_of(parser: Parser, data: bytes, hang_seconds: float) -> str | None:
    """Return what names the fault of an input: the exception with its place, ``hang`` or a signal; else ``None``.

    The parser runs in a process of its own, which can hang or crash.
    """
    with tempfile.TemporaryDirectory() as folder:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                signal.setitimer(signal.ITIMER_PROF, hang_seconds)
                signal.alarm(MAX_SECONDS)
                os.write(writing, _exception(parser, data, Path(folder)).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as stream:
            exception = stream.read().decode()
        _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return "hang" if number in {signal.SIGPROF, signal.SIGALRM} else f"signal {number}"
    return exception or None


def _exception(parser: Parser, data: bytes, folder: Path) -> str:
    """Return the type and the place of what the parser raises, or an empty text."""
    try:
        outcome(parser, data, folder)
    except Exception as error:  # noqa: BLE001 - every exception is a fault
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {place.filename}:{place.lineno}"
    return ""
