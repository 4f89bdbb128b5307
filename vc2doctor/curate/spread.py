"""Spread sessions of nox over the jobs of a matrix of GitHub Actions."""

import math
from collections.abc import Sequence

from vc2doctor.core import shell

MAX_JOBS = 256
"""The most jobs that a matrix makes in one run of a workflow:
https://docs.github.com/en/actions/reference/limits (read 2026-11)."""


def github_matrix(sessions: Sequence[str], jobs: int = MAX_JOBS) -> dict[str, list[dict[str, str]]]:
    """Return the ``matrix`` of a job of GitHub Actions that runs ``sessions`` of nox, in at most ``jobs`` jobs.

    Each entry has a ``name``, and ``sessions``: words for a shell, for ``nox -s ${{ matrix.sessions }}``.
    """
    size = max(1, math.ceil(len(sessions) / jobs))
    groups = [sessions[start : start + size] for start in range(0, len(sessions), size)]
    return {"include": [{"name": _name(group), "sessions": shell.join(group)} for group in groups]}


def _name(sessions: Sequence[str]) -> str:
    more = f" and {len(sessions) - 1} more" if len(sessions) > 1 else ""
    return f"{sessions[0]}{more}"
