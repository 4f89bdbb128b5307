"""The progress that is shown while an examination runs: one changing line on a terminal, a line a step in a log."""

import contextlib
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from vc2doctor.cli.output import is_redacted
from vc2doctor.core.printing import printable
from vc2doctor.core.redaction import redact

LOG_SECONDS = 12.0
"""Time between two lines in a log about one step: a reader of a CI job sees that something happens."""
QUIET_SECONDS = 2.0
"""A run that is shorter writes no step to a log: its report follows at once."""
MAX_STEPS = 100
"""Steps in a log. A probe has about 20; a target that reports more must not fill the disk."""


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Give a function that takes the current step in words, and show this step on stderr."""
    if not sys.stderr.isatty():
        with log_lines(sys.stderr, LOG_SECONDS) as on_progress:
            yield on_progress
        return
    from rich.console import Console  # noqa: PLC0415 - a log needs none of it
    from rich.text import Text  # noqa: PLC0415

    with Console(stderr=True, markup=False, emoji=False).status(Text("starting")) as status:
        # Text, not str: rich would read square brackets in a message of the target as markup.
        yield lambda message: status.update(Text(_one_line(message)))


def _one_line(message: str) -> str:
    """Return a step in words as one printable line: a target names its own steps."""
    return printable(redact(message) if is_redacted() else message).replace("\n", " ")


@contextmanager
def log_lines(stream: TextIO, seconds: float, quiet: float = QUIET_SECONDS) -> Iterator[Callable[[str], None]]:
    """Write each step to a log when it begins, with the time since the start; a long step again every ``seconds``.

    Nothing is written in the first ``quiet`` seconds; the steps of that time follow then. A shorter run writes nothing.
    """
    start_time, ended = time.monotonic(), threading.Event()
    steps: queue.SimpleQueue[tuple[float, str] | None] = queue.SimpleQueue()

    def on_progress(step: str) -> None:
        steps.put((time.monotonic() - start_time, step))

    def write_lines() -> None:
        # A log that cannot be written must not end the examination.
        with contextlib.suppress(OSError, ValueError):
            if not ended.wait(quiet):
                _write_steps(stream, steps, seconds, start_time)

    thread = threading.Thread(target=write_lines, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        # The user may start no more threads (`ulimit -u`): the examination goes on without lines.
        yield lambda _: None
        return
    try:
        yield on_progress
    finally:
        ended.set()
        steps.put(None)
        thread.join()


def _write_steps(
    stream: TextIO, steps: "queue.SimpleQueue[tuple[float, str] | None]", seconds: float, start_time: float
) -> None:
    """Write steps until ``None`` comes. After ``MAX_STEPS`` lines a step is written only if it takes long."""
    step, written = "starting", 0
    while True:
        try:
            item = steps.get(timeout=seconds)
        except queue.Empty:
            _write_line(stream, step, time.monotonic() - start_time)
            continue
        if item is None:
            return
        elapsed, step = item
        if written < MAX_STEPS:
            written += 1
            _write_line(stream, step, elapsed)


def _write_line(stream: TextIO, step: str, elapsed: float) -> None:
    # A log may be shown on a terminal later.
    stream.write(f"vc2doctor: {_one_line(step)} ({elapsed:.0f} s so far)\n")
    stream.flush()
