"""Whether this process is one rank of a distributed launch, and which launch: what the variables of launchers say."""

import os
from collections.abc import Mapping, Sequence

from vc2doctor.core import reading

_SIGNS = (
    *("RANK", "LOCAL_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK"),
    *("SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"),
)
"""Variables that torchrun, Slurm, Open MPI, MPICH and others set in each process."""
_RANKS = (*_SIGNS[:6], "SLURM_PROCID", *_SIGNS[6:])
"""The same, and the global rank of Slurm; the first that is set is the name of the process."""
_LAUNCHES = (
    *("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT", "PBS_JOBID", "LSB_JOBID", "PMIX_NAMESPACE"),
    *("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT"),
)
"""Variables that are equal in all processes of a launch and differ between launches."""
_ENOUGH = ("SLURM_STEP_ID", "PMIX_NAMESPACE", "MASTER_PORT")
"""With one of these, the launch is known. Without them, its processes are those with the same parent."""


def rank(variables: Mapping[str, str]) -> str | None:
    """Return the name of this process within its launch; ``None``: it is no part of a distributed launch."""
    if not any(variables.get(name) for name in _SIGNS):
        return None
    return next(f"{name}={variables[name]}" for name in _RANKS if variables.get(name))


def name(variables: Mapping[str, str], words: Sequence[str]) -> tuple[str, ...]:
    """Return what all processes of this launch have in common, ``words`` included."""
    shared = tuple(f"{key}={variables.get(key, '')}" for key in _LAUNCHES)
    parent = () if any(variables.get(key) for key in _ENOUGH) else (_parent(),)
    return (*shared, *parent, *words)


def _parent() -> str:
    """Return the parent process, with its start time: numbers of processes are used again."""
    number = os.getppid()
    fields = reading.text_or_empty(f"/proc/{number}/stat").rpartition(")")[2].split()
    # The start time is field 22; the first two were cut off (man 5 proc_pid_stat).
    return f"parent={number}:{fields[19] if len(fields) > 19 else ''}"  # noqa: PLR2004
