"""P. Children of the target that hide: all of them end with the check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_SLEEP = "import os, time\n"
_END = "raise ImportError('done')\n"
_WAYS = {
    "that_calls_setsid": "if not os.fork():\n    os.setsid()\n    time.sleep(300)\n",
    "that_is_forked_twice": (
        "if not os.fork():\n    os.setsid()\n    if os.fork(): os._exit(0)\n    time.sleep(300)\nos.wait()\n"
    ),
    "that_ignores_signals": (
        "import signal\nif not os.fork():\n    os.setsid()\n"
        "    for n in range(1, 32):\n        try: signal.signal(n, signal.SIG_IGN)\n        except OSError: pass\n"
        "    time.sleep(300)\n"
    ),
    "that_closes_its_streams": "if not os.fork():\n    os.setsid()\n    os.closerange(0, 256)\n    time.sleep(300)\n",
    "that_runs_another_program": (
        "import subprocess\nsubprocess.Popen(['sleep', '300'], start_new_session=True, close_fds=False)\n"
    ),
    "that_clears_its_environment": (
        "import sys\nif not os.fork():\n    os.setsid()\n"
        "    os.execve(sys.executable, [sys.executable, '-I', '-c', 'import time; time.sleep(300)'], {})\n"
    ),
    "that_writes_temporary_files": (
        "import tempfile\nif not os.fork():\n    os.setsid()\n    while True: tempfile.mkstemp(); time.sleep(0.01)\n"
    ),
    "that_forks_for_good": (
        "if not os.fork():\n    os.setsid()\n    while True:\n"
        "        if os.fork(): os._exit(0)\n        time.sleep(0.02)\n"
    ),
}


@rows("P", _WAYS, 1, 3, suite=("that_is_forked_twice",))
def child(scene: Scene, source: str) -> Command:
    """Torch starts a child when it is imported, and fails."""
    return Command(("check", "--timeout", "30", "--python", scene.target(torch=_SLEEP + source + _END)))


@row("P", 3)
def child_while_the_target_is_described(scene: Scene) -> Command:
    """A `sitecustomize` of the target starts a child in a session of its own, and ends Python."""
    source = f"{_SLEEP}{_WAYS['that_calls_setsid']}os._exit(1)\n"
    return Command(("check", "--timeout", "30", "--python", scene.target(sitecustomize=source)))


@row("P", 1, 3)
def target_that_stops_its_supervisor(scene: Scene) -> Command:
    """Torch stops the process that started it (SIGSTOP), starts a child, and hangs."""
    source = (
        f"{_SLEEP}import signal\n{_WAYS['that_calls_setsid']}os.kill(os.getppid(), signal.SIGSTOP)\ntime.sleep(300)\n"
    )
    return Command(("check", "--timeout", "5", "--python", scene.target(torch=source)))


@row("P", 1, 3)
def target_that_kills_its_supervisor(scene: Scene) -> Command:
    """Torch starts a child, and kills the process that started torch."""
    source = (
        f"{_SLEEP}import signal\n{_WAYS['that_calls_setsid']}os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(300)\n"
    )
    return Command(("check", "--timeout", "5", "--python", scene.target(torch=source)))
