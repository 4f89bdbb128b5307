"""The processor, from ``/proc/cpuinfo`` or ``platform``, with the flags that make half precision fast on a CPU."""

import contextlib
import os
import platform
from pathlib import Path

from vc2doctor.core import reading
from vc2doctor.environment.model import Cpu
from vc2doctor.environment.sources import Source

HALF_PRECISION_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_fp16", "bf16", "asimdhp")
"""First the names on x86, then those on Arm: https://www.kernel.org/doc/html/latest/arch/arm64/elf_hwcaps.html."""


def observe(source: Path = Path("/proc/cpuinfo")) -> Cpu:
    """Return the processor of this machine. A fact that cannot be read is ``None`` or empty."""
    fields: dict[str, str] = {}
    for line in reading.text_or_empty(source).splitlines():
        name, colon, value = line.partition(":")
        if colon:
            # The file repeats all fields for every core; the first core stands for all.
            fields.setdefault(name.strip().lower(), value.strip())
    # x86 calls the list "flags", Arm calls it "Features".
    flags = set((fields.get("flags") or fields.get("features") or "").split())
    return Cpu(
        model=fields.get("model name") or platform.processor() or None,
        cores=_cores(),
        flags=tuple(flag for flag in HALF_PRECISION_FLAGS if flag in flags),
        memory=_memory_bytes(),
    )


def _cores() -> int:
    # A container or Slurm may give this process fewer cores than the machine has.
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _memory_bytes() -> int | None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


SOURCE = Source("cpu", lambda _: observe(), Cpu)
