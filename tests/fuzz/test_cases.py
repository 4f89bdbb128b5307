"""Inputs that once crashed or hung a parser, and one real input for each parser."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

import pytest

from tests.fuzz.minimize import fault_of, minimized
from tests.fuzz.parsers import PARSERS, PLANTED, outcome, seeds

CASES = sorted(path for path in Path(__file__).with_name("cases").glob("*/*"))
MAX_SECONDS = 20
"""Far more than a case takes, also on a busy machine."""


@pytest.fixture(autouse=True)
def time_limit() -> object:
    """End a test that hangs."""

    def stop(_: int, __: FrameType | None) -> None:
        message = f"no end after {MAX_SECONDS} s"
        raise TimeoutError(message)

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(MAX_SECONDS)
    yield
    signal.alarm(0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_an_input_that_was_a_fault_is_read_or_refused(case: Path, tmp_path: Path) -> None:
    assert outcome(PARSERS[case.parent.name], case.read_bytes(), tmp_path) in ("read", "refused")


@pytest.mark.parametrize("name", PARSERS)
def test_every_parser_reads_a_real_input(name: str, tmp_path: Path) -> None:
    results = []
    for number, data in enumerate(seeds(PARSERS[name])):
        folder = tmp_path / str(number)
        folder.mkdir()
        results.append(outcome(PARSERS[name], data, folder))
        if results[-1] == "read":
            return
    pytest.fail(f"{name}: no seed is read, of {len(results)}")


@pytest.mark.parametrize(("name", "fault"), [("planted-crash", "IndexError at "), ("planted-hang", "hang")])
def test_the_input_of_a_fault_becomes_as_small_as_the_fault_needs(name: str, fault: str) -> None:
    data = b"vc2 and what the fault does not need"
    assert (fault_of(PLANTED[name], data, hang_seconds=0.2) or "").startswith(fault)
    assert minimized(PLANTED[name], data, hang_seconds=0.2) == b"vc2"


def test_an_input_without_a_fault_stays_as_it_is() -> None:
    assert minimized(PLANTED["planted-crash"], b"no fault") == b"no fault"
