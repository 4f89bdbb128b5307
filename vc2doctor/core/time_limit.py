"""A limit for the time that the main thread takes, whatever it is doing."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

GRACE_SECONDS = 20.0
"""How long the main thread may take to end its children and to get out, after its time is over."""

_MAX_SECONDS = 1e8
"""Three years. The kernel and Python refuse limits beyond the range of their own types with an exception."""


class TimeLimit:
    """Raises ``KeyboardInterrupt`` in the main thread when the time is over, as Ctrl-C does; ``is_over`` then says so.

    A main thread that hangs in a library (the driver of a GPU that has failed) gets no signal from Python. ``on_stuck``
    is then called in another thread, and has to end the process.
    """

    def __init__(self, seconds: float | None, on_stuck: Callable[[], None]) -> None:
        self.seconds = None if seconds is None else min(seconds, _MAX_SECONDS)
        self.is_over = False
        self._on_stuck = on_stuck
        self._ended = threading.Event()

    @contextlib.contextmanager
    def enforced(self) -> Iterator[None]:
        """Enforce the limit within a ``with`` statement; without ``seconds`` there is none."""
        if self.seconds is None:
            yield
            return
        previous = signal.signal(signal.SIGALRM, self._interrupt)
        try:
            # A short limit can be over before the next line.
            signal.setitimer(signal.ITIMER_REAL, self.seconds)
            _start(threading.Thread(target=self._watch, args=(self.seconds,), daemon=True))
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._ended.set()
            signal.signal(signal.SIGALRM, previous)

    def _interrupt(self, _: int, __: FrameType | None) -> None:
        self.is_over = True
        raise KeyboardInterrupt

    def _watch(self, seconds: float) -> None:
        if not self._ended.wait(seconds + GRACE_SECONDS):
            self.is_over = True
            self._on_stuck()


def _start(thread: threading.Thread) -> None:
    # The user may start no more threads (`ulimit -u`): then the signal alone has to be enough.
    with contextlib.suppress(RuntimeError):
        thread.start()
