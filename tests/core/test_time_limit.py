"""The limit for the time of the main thread."""

from __future__ import annotations

import signal
import time

import pytest

from vc2doctor.core.time_limit import TimeLimit


def _must_not_happen() -> None:
    pytest.fail("the main thread did not hang")


@pytest.mark.parametrize("seconds", [None, 1e10, 1e300, 1e-300])
def test_limit_can_have_any_length(seconds: float | None) -> None:
    before = signal.getsignal(signal.SIGALRM)
    limit = TimeLimit(seconds, _must_not_happen)
    is_short = seconds is not None and seconds < 1
    try:
        with limit.enforced():
            time.sleep(0.2)
    except KeyboardInterrupt:
        assert is_short
    assert limit.is_over == is_short
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
