"""One process of the doctor while it runs: how rows send it signals, and what it has printed."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from tests.faults.model import MAX_SECONDS
from tests.processes import marked

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.scene import Scene

_POLL_SECONDS = 0.05
_MAX_OUTPUT_BYTES = 8 * 1024 * 1024
"""Output beyond it is dropped."""


class Running:
    """A started doctor."""

    def __init__(self, process: subprocess.Popen[bytes], scene: Scene, mark: str, terminal: Terminal | None) -> None:
        self.process = process
        self.scene = scene
        self.mark = mark
        self.terminal = terminal

    def wait_for_sign(self, name: str) -> None:
        """Wait until a target has left this sign, or the doctor has ended.

        Raises:
            TimeoutExpired: neither comes.
        """
        path = self.scene.signs / name
        self._wait(path.exists)

    def wait_for_end(self) -> None:
        """Wait until the doctor has ended.

        Raises:
            TimeoutExpired: it hangs.
        """
        self._wait(lambda: False)

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + MAX_SECONDS
        while not condition() and self.process.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.process.args, MAX_SECONDS)
            time.sleep(_POLL_SECONDS)

    def send(self, number: int) -> None:
        """Send a signal to the doctor alone."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def send_to_group(self, number: int) -> None:
        """Send a signal to the doctor and to what is in its process group, as a terminal does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def end_all(self) -> None:
        """Kill everything that carries the mark of this run."""
        for pid in marked(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Terminal:
    """A pseudo terminal whose output is collected."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        self.output = bytearray()
        self._is_over = False
        self._thread = threading.Thread(target=self._collect, daemon=True)

    def start(self) -> None:
        """Begin to collect; the doctor has its own descriptor by now."""
        os.close(self.slave)
        self._thread.start()

    def hang_up(self) -> None:
        """Close the terminal, as the end of an SSH connection does."""
        self._is_over = True
        self._thread.join()

    def finish(self) -> bytes:
        """Return what was printed."""
        self.hang_up()
        return bytes(self.output)

    def _collect(self) -> None:
        try:
            while True:
                readable, _, _ = select.select([self.master], [], [], _POLL_SECONDS)
                data = os.read(self.master, 65536) if readable else b""
                if (readable and not data) or (self._is_over and not readable):
                    return
                self.output += data[: max(0, _MAX_OUTPUT_BYTES - len(self.output))]
        except OSError:
            # Every process that had the terminal has ended.
            return
        finally:
            os.close(self.master)
