"""The progress that is shown while an examination runs: on a terminal as one changing line, in a log as a few lines."""

import contextlib
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
"""Time between two lines in a log: a reader of a CI job sees that something happens, and the log stays short."""


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
def log_lines(stream: TextIO, seconds: float) -> Iterator[Callable[[str], None]]:
    """Write the current step to a log every ``seconds``, also if one step takes long; a short run writes nothing."""
    steps, ended, start_time = ["starting"], threading.Event(), time.monotonic()

    def write_lines() -> None:
        # A log that cannot be written must not end the examination.
        with contextlib.suppress(OSError, ValueError):
            while not ended.wait(seconds):
                # A log may be shown on a terminal later.
                stream.write(f"vc2doctor: {_one_line(steps[-1])} ({time.monotonic() - start_time:.0f} s so far)\n")
                stream.flush()

    thread = threading.Thread(target=write_lines, daemon=True)
    thread.start()
    try:
        yield steps.append
    finally:
        ended.set()
        thread.join()
