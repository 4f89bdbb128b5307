"""Supervises one child process: ends it and all that it started when it ends, when time is up, or when the doctor ends.

The doctor starts this file by path, ``python -I -S -B supervisor.py LIFELINE STATUS PARENT``: two file descriptors and
the doctor's process id. Standard library only, Python 3.8 and newer, and few imports, because every child gets one.

    doctor -> outer supervisor -> inner supervisor -> worker -> whatever the worker starts

* The doctor holds the other end of the pipe LIFELINE. It writes the job there (``pack``) and keeps the pipe open. The
  pipe closes when the doctor ends, in whatever way, or when it wants the worker to end.
* Both supervisors adopt orphans (``PR_SET_CHILD_SUBREAPER`` of ``man 2 prctl``), so that a process that called
  ``setsid``, or was forked twice, stays below them and can be found.
* There are two, because each of them can be killed. If the inner one dies, the worker dies as well
  (``PR_SET_PDEATHSIG``), and the outer one adopts and ends the rest. If the outer one dies, the inner one gets a
  signal.
* Where there is no prctl (macOS), the process group of the worker is ended instead, and ``alarm`` ends a worker that
  has outlived both supervisors: the kernel keeps an alarm across ``exec``.

How the worker ended is written to STATUS, one line each: ``failed ERRNO`` (the program cannot be started),
``started PID``, ``ended REASON CODE``. CODE is negative for a signal, and ``-`` if it is unknown.

This is no sandbox. The worker runs as the same user, so a hostile one can stop or kill both supervisors in one moment,
or have a service that runs already (cron, a container engine) start what it wants.
"""

from __future__ import annotations

import errno
import os
import select
import sys
import time

TYPE_CHECKING = False
"""Type checkers take it for true. `typing`, which has the real one, is slow to import."""
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
else:
    try:
        # What `signal` is made of. The names of its enums cost a third of the start.
        import _signal as signal
    except ImportError:
        import signal

GRACE_SECONDS = 1.0
"""How long a worker may take to end after SIGTERM: it dumps its stack then, so that the report says where it hung."""
KILL_SECONDS = 5.0
"""How long the end of killed processes is awaited: one that waits for a dead disk ends never."""
OUTER_SECONDS = GRACE_SECONDS + KILL_SECONDS + 2
"""How much longer the outer supervisor waits for the inner one than that one may take."""
_ALARM_SECONDS = 30
"""By how much the worker's alarm is later than its time limit: it is the last resort."""
_MAX_ALARM = 2**31 - 1
_POLL_SECONDS = 60.0
"""The longest single wait: ``poll`` takes its milliseconds as a C int."""
_ROUND_SECONDS = 0.01
"""Between two rounds of killing."""

EXIT, TIMEOUT, STOPPED = "exit", "timeout", "stopped"
"""Why the worker ended. ``stopped``: the doctor ended, or wanted it, or a signal came."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
"""From linux/prctl.h."""
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
_HANDLED_SIGNALS = (*_ENDING_SIGNALS, signal.SIGCHLD)
_RESTORED_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGALRM)
"""Python ignores the first two; a worker gets the default."""


class Job:
    """What to run: for how long, with which descriptors (the supervisors close theirs), command and environment."""

    def __init__(self, timeout: float, descriptors: list[int], command: list[bytes], environment: list[bytes]) -> None:
        self.timeout = timeout
        self.descriptors = descriptors
        self.command = command
        self.environment = environment
        """``NAME=value``."""


def pack(job: Job) -> bytes:
    """Return ``job`` as bytes; texts with a null byte cannot be arguments of a program.

    Raises:
        ValueError: the command or the environment holds a null byte.
    """
    numbers = ",".join(str(descriptor) for descriptor in job.descriptors)
    fields = [repr(job.timeout).encode(), numbers.encode(), b"%d" % len(job.command), *job.command, *job.environment]
    if any(b"\0" in field for field in fields):
        message = "embedded null byte"
        raise ValueError(message)
    body = b"\0".join(fields)
    return b"%d\n%s" % (len(body), body)


def read_job(descriptor: int) -> Job | None:
    """Return the job that the doctor writes to ``descriptor``; ``None``: the doctor ended before that."""
    length = b""
    while not length.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            return None
        length += byte
    body = b""
    while len(body) < int(length):
        part = os.read(descriptor, int(length) - len(body))
        if not part:
            return None
        body += part
    timeout, numbers, count, *words = body.split(b"\0")
    descriptors = [int(number) for number in numbers.split(b",") if number]
    return Job(float(timeout), descriptors, words[: int(count)], words[int(count) :])


def main(arguments: list[str]) -> None:
    """Run as the outer supervisor; the inner one and the worker are forked from it."""
    lifeline, status, parent = (int(argument) for argument in arguments)
    for descriptor in (lifeline, status):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - takes no keyword
    # Each process handles the signals when it is ready for them.
    mask = {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED_SIGNALS)}
    kernel = _Kernel()
    kernel.end_with_parent(signal.SIGTERM, parent)
    job = read_job(lifeline)
    if job is None:
        return
    kernel.adopt_orphans()
    outer = os.getpid()
    inner = _fork(status)
    if inner:
        _close(job.descriptors)
        _supervise_inner(lifeline, inner, job.timeout)
        return
    kernel.end_with_parent(signal.SIGTERM, outer)
    kernel.adopt_orphans()
    _supervise_worker(lifeline, status, job, kernel, mask)


def _supervise_inner(lifeline: int, inner: int, timeout: float) -> None:
    watch = _Watch(lifeline, inner)
    if watch.wait(timeout + OUTER_SECONDS) != EXIT:
        # The worker may have stopped it (SIGSTOP).
        _kill(inner, signal.SIGCONT)
        _kill(inner, signal.SIGTERM)
        watch.wait(OUTER_SECONDS, heeds_stop=False)
    watch.end_descendants()


def _supervise_worker(lifeline: int, status: int, job: Job, kernel: _Kernel, mask: set[int]) -> None:
    ignored = [int(number) for number in _HANDLED_SIGNALS if signal.getsignal(number) == signal.SIG_IGN]
    worker = _fork(status)
    if not worker:
        _become_worker(status, job, kernel, mask, ignored)
    _close(job.descriptors)
    _report(status, "started %d" % worker)
    watch = _Watch(lifeline, worker)
    reason = watch.wait(job.timeout)
    if reason == TIMEOUT:
        _kill(worker, signal.SIGTERM)
        watch.wait(GRACE_SECONDS)
    # The group first: all of it in one moment, so that nothing can fork in between. After the end of the worker its
    # number could belong to another group, so this is done then only where orphans cannot be adopted.
    if watch.code is None or not kernel.adopts:
        _kill_group(worker)
    watch.end_descendants()
    _report(status, "ended %s %s" % (reason, "-" if watch.code is None else watch.code))


def _fork(status: int) -> int:
    """Fork; where the system refuses that, report it and end."""
    try:
        return os.fork()
    except OSError as error:
        _report(status, "failed %d" % (error.errno or errno.EAGAIN))
        sys.exit(1)


def _become_worker(status: int, job: Job, kernel: _Kernel, mask: set[int], ignored: list[int]) -> None:
    """Replace this forked process by the program of ``job``, with signals as if no supervisor had started it."""
    error_number = errno.EINVAL
    try:
        supervisor = os.getppid()
        os.setsid()
        kernel.end_with_parent(signal.SIGKILL, supervisor)
        for number in _HANDLED_SIGNALS:
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
        for number in _RESTORED_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.alarm(int(min(job.timeout + GRACE_SECONDS + _ALARM_SECONDS, _MAX_ALARM)))
        pairs = (text.partition(b"=") for text in job.environment)
        os.execvpe(job.command[0], job.command, {name: value for name, _, value in pairs})  # noqa: S606 - no shell
    except OSError as error:
        error_number = error.errno or errno.EINVAL
    finally:
        _report(status, "failed %d" % error_number)
        os._exit(127)


class _Kernel:
    """The two services of ``man 2 prctl``; where the system has no prctl, nothing happens."""

    def __init__(self) -> None:
        self.adopts = False
        """Whether this process adopts orphans."""
        self._prctl = _prctl()

    def end_with_parent(self, number: int, parent: int) -> None:
        """Ask for signal ``number`` at the end of ``parent``, and end at once if that has ended already."""
        if self._prctl is not None:
            self._prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    def adopt_orphans(self) -> None:
        """Become the parent of every process below this one whose own parent ends."""
        if self._prctl is not None:
            # A sandbox may forbid it.
            self.adopts = self._prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def _prctl() -> Callable[..., int] | None:
    """Return the function of the C library, or ``None`` where there is none: macOS, or a Python without ctypes."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        import ctypes  # noqa: PLC0415 - the doctor imports this module for `pack`, and needs no ctypes

        prctl: Callable[..., int] = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return None
    return prctl


class _Watch:
    """Waits for the end of one child; reaps every other child, because orphans are adopted."""

    def __init__(self, lifeline: int, child: int) -> None:
        self.code: int | None = None
        """How the child ended: its exit code, or minus the number of a signal; ``None``: it did not."""
        self._child = child
        self._has_children = True
        self._is_stopped = False
        self._lifeline = lifeline
        self._wakeup, writer = os.pipe()
        for descriptor in (self._wakeup, writer):
            os.set_blocking(descriptor, False)
        # `poll` goes on after a signal, so every signal also writes a byte to this pipe, which ends it.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in _ENDING_SIGNALS:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._poll = select.poll()
        self._poll.register(lifeline, select.POLLIN)
        self._poll.register(self._wakeup, select.POLLIN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def wait(self, seconds: float, *, heeds_stop: bool = True) -> str:
        """Wait until the child ends, the doctor or a signal wants an end, or ``seconds`` have passed."""
        deadline = time.monotonic() + seconds
        while True:
            self._reap()
            if self.code is not None:
                return EXIT
            if self._is_stopped and heeds_stop:
                return STOPPED
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return TIMEOUT
            self._sleep(remaining)

    def end_descendants(self) -> None:
        """Kill everything below this process, in rounds until nothing is left, and reap it."""
        deadline = time.monotonic() + KILL_SECONDS
        while self._reap() and time.monotonic() < deadline:
            for pid in descendants(os.getpid()):
                _kill(pid, signal.SIGKILL)
            self._sleep(_ROUND_SECONDS)

    def _stop(self, *_: object) -> None:
        self._is_stopped = True

    def _sleep(self, seconds: float) -> None:
        """Sleep until a signal comes, the lifeline closes, or ``seconds`` have passed."""
        for descriptor, _ in self._poll.poll(min(seconds, _POLL_SECONDS) * 1000):
            if descriptor == self._lifeline:
                self._is_stopped = True
                self._poll.unregister(descriptor)
            else:
                try:
                    os.read(descriptor, 4096)
                except BlockingIOError:
                    pass

    def _reap(self) -> bool:
        """Read the exit codes of all children that have ended; return whether any child is left."""
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid == self._child:
                signaled = os.WIFSIGNALED(wait_status)
                self.code = -os.WTERMSIG(wait_status) if signaled else os.WEXITSTATUS(wait_status)


def descendants(pid: int) -> list[int]:
    """Return the processes below ``pid``, as far as /proc tells; none where there is no /proc."""
    children = _children_by_parent()
    found: list[int] = []
    queue = [pid]
    while queue:
        below = children(queue.pop())
        found += below
        queue += below
    return found


def _children_by_parent() -> Callable[[int], list[int]]:
    """Return a function that returns the children of a process."""
    if os.path.exists("/proc/self/task/%d/children" % os.getpid()):
        return _children
    # A kernel without CONFIG_PROC_CHILDREN: look through all processes once.
    table: dict[int, list[int]] = {}
    for name in _names("/proc"):
        if name.isdigit():
            # The name of the program, in parentheses, can hold anything.
            fields = _read("/proc/%s/stat" % name).rpartition(b")")[2].split()
            if len(fields) > 1:
                table.setdefault(int(fields[1]), []).append(int(name))
    return lambda pid: table.get(pid, [])


def _children(pid: int) -> list[int]:
    # Every thread has children of its own.
    folder = "/proc/%d/task" % pid
    return [int(child) for task in _names(folder) for child in _read("%s/%s/children" % (folder, task)).split()]


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _close(descriptors: list[int]) -> None:
    """Close what is the worker's alone: a reader of these pipes must see their end."""
    for descriptor in descriptors:
        os.close(descriptor)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)


def _report(status: int, line: str) -> None:
    try:
        os.write(status, line.encode() + b"\n")
    except OSError:
        # The doctor has ended.
        pass


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
    # There is nothing to clean up, which takes Python some milliseconds.
    os._exit(0)
