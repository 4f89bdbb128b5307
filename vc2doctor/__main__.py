"""``python -m vc2doctor`` is the command ``vc2doctor``. Its first lines already answer Ctrl-C with one line."""

import os
import signal

_UNFINISHED = 3
"""The exit code of an interrupted run, see ``checks/verdict.py``."""


def _end_at_once(_number: int, _frame: object) -> None:
    os.write(2, b"vc2doctor: interrupted\n")
    os._exit(_UNFINISHED)


# An exception instead could be raised, and lost, in a callback of an import. A signal that is ignored stays ignored:
# that is how a shell starts a program in the background.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _end_at_once)


def main() -> None:
    """Run the command line."""
    from vc2doctor.cli.main import main as run  # noqa: PLC0415 - its imports take longer than a quick Ctrl-C

    run()


if __name__ == "__main__":
    main()
