"""``python -m vc2doctor`` is the command ``vc2doctor``. Its first lines already answer Ctrl-C with one line.

They import nothing of the doctor, and are valid in every Python 3: an installation can be incomplete, or for another
Python.
"""

import gc
import os
import signal
import sys

_UNFINISHED = 3
"""The exit code of a run that was interrupted or could not begin, see ``checks/verdict.py``."""
_OLDEST_PYTHON = (3, 10)
_NEW_OBJECTS = 250_000
"""New objects until Python looks for garbage among all of them. A check by versions makes about 130,000, and hardly any
garbage: with Python's default of 700 it would take a fifth longer."""
_MIN_STACK_BYTES = 512 * 1024
"""Python's parser ends with SIGSEGV on nested code when the stack has 256 KiB, and not when it has 512. Linux gives
8 MiB."""


def _end_at_once(_number: int, _frame: object) -> None:
    os.write(2, b"vc2doctor: interrupted\n")
    os._exit(_UNFINISHED)


# An exception instead could be raised, and lost, in a callback of an import. A signal that is ignored stays ignored:
# that is how a shell starts a program in the background.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _end_at_once)


def main() -> None:
    """Run the command line. An installation or a machine that cannot do this ends with one message."""
    gc.set_threshold(_NEW_OBJECTS)
    message = _obstacle()
    if message is None:
        try:
            from vc2doctor.cli.main import main as run  # noqa: PLC0415 - its imports take longer than a quick Ctrl-C
        except ImportError as error:
            message = f"the doctor is not installed completely: {error}. Install vc2doctor again."
        except SyntaxError as error:
            message = f"the doctor is damaged: {error}. Install vc2doctor again."
        except (OSError, MemoryError) as error:
            message = f"the doctor cannot be started: {error or type(error).__name__}"
        else:
            try:
                run()
            finally:
                # Python looks for garbage once more when it ends, for a seventh of the time of a check by versions. The
                # system takes the memory back anyway.
                gc.freeze()
            return
    os.write(2, f"vc2doctor: {message}\n".encode("utf-8", "replace"))
    sys.exit(_UNFINISHED)


def _obstacle() -> "str | None":
    """Return what keeps the doctor from running on this machine, and what to do; ``None``: nothing."""
    if sys.version_info < _OLDEST_PYTHON:
        needed, found = (".".join(map(str, version[:2])) for version in (_OLDEST_PYTHON, sys.version_info))
        return (
            f"the doctor needs Python {needed} or newer, and this is Python {found}. Install vc2doctor in another"
            " environment, and name this Python with --python."
        )
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return None
    stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
    if 0 <= stack < _MIN_STACK_BYTES:
        return (
            f"the stack of this process is limited to {stack // 1024} KiB, with which Python can crash without a"
            " message. Allow more: ulimit -s 8192"
        )
    return None


if __name__ == "__main__":
    main()
