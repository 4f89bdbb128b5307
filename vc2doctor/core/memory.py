"""How often the kernel has killed a process for lack of memory."""

import contextlib
from pathlib import Path


def out_of_memory_kills() -> int:
    """Return how many processes of this control group the kernel has killed for lack of memory so far."""
    for counter in _counters():
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in counter.read_text(encoding="utf-8").splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def _counters() -> list[Path]:
    """Return the files that may count out-of-memory kills: of control groups version 2 (no controllers) and 1."""
    counters: list[Path] = []
    root = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                counters.append(root / path.lstrip("/") / "memory.events")
            elif "memory" in controllers.split(","):
                counters.append(root / "memory" / path.lstrip("/") / "memory.oom_control")
                # Inside a container the path of the host may not exist below the mount.
                counters.append(root / "memory" / "memory.oom_control")
    return counters
