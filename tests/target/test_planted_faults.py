"""The planted faults of graphs, gradients, rates and batches, and their clean twins, on the real torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import noxfile
from tests.probe_truth import together
from tests.probe_truth.fault import Fault
from tests.probe_truth.table import FAULTS
from tests.probe_truth.together import Results, entries
from tests.target.test_doors import OTHER_TARGET

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("planted")]
"""The tests share the results of a fixture that takes long: one worker runs them."""
NEWEST = noxfile.TRUTH_CELLS[0]
PLANTED = [fault for fault in FAULTS if fault.module != "faults" and fault.applies_to(NEWEST.name)]


@pytest.fixture(scope="module")
def results(stack_of: Callable[..., Path]) -> Results:
    """Return the outcomes by entry and recipe."""
    named = os.environ.get(OTHER_TARGET)
    return together.results(named or str(stack_of(*NEWEST.requirements) / "bin" / "python"), PLANTED)


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_the_fault_is_named_and_its_twin_is_not_accused(fault: Fault, results: Results) -> None:
    faulty, clean = (results[entry, fault.recipe] for entry in entries(fault))
    assert (faulty.outcome, faulty.cause and faulty.cause.id) == (fault.outcome, fault.cause), faulty.description
    assert (clean.outcome, clean.cause) == ("finite", None), clean.description


def test_the_line_that_breaks_is_named_also_in_the_backward_pass(results: Results) -> None:
    where = results["planted.graph_faults:root_of_zero", "fp32"].where
    assert where is not None
    assert (where.phase, where.node, where.file) == ("backward", "SqrtBackward0", "planted/graph_faults.py")
