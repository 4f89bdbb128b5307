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


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ("hook_divides_by_zero", "div in the gradient hook <lambda> (planted/far_faults.py:"),
        ("first_step_is_zero", "div in the step of the optimizer (planted/far_faults.py:"),
    ],
)
def test_the_python_code_of_a_hook_or_an_optimizer_is_named(entry: str, place: str, results: Results) -> None:
    where = results[f"planted.far_faults:{entry}", "fp32"].where
    assert where is not None
    assert where.place.startswith(place)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("silent_faults:rounded_weights", "RoundBackward0 (planted/silent_faults.py:"),
        ("silent_faults:hook_returns_zero", "the gradient hook on layer.weight (planted/silent_faults.py:"),
        ("silent_faults:norm_over_one", "NativeLayerNormBackward0 (planted/silent_faults.py:"),
        ("silent_faults:dropped_by_torch", "in 24 passes with other random draws as well"),
        ("silent_faults:targets_without_a_column", "a loss of shape (8, 8) (planted/silent_faults.py:"),
        ("far_faults:drawn_in_a_checkpoint", "Python's random, which torch does not restore"),
        ("plain_faults:penalty_of_fused_attention", "the gradient is computed at planted/plain_faults.py:"),
        ("plain_faults:layers_in_a_list", "layers[0].weight, of shape (12, 12) (planted/plain_faults.py:"),
        ("plain_faults:scale_in_a_dict", "the first is options['scale'], of shape (2,)"),
        ("plain_faults:sparse_and_exploding", "clipping the gradients to a norm of 1.0 stops that"),
        ("far_faults:first_step_is_zero", "for what it divides by the number 0"),
        ("far_faults:frozen_with_its_twin", "embedding.weight is the same tensor as head.weight"),
    ],
)
def test_the_cause_names_what_is_at_fault(entry: str, words: str, results: Results) -> None:
    cause = results[f"planted.{entry}", "fp32"].cause
    assert cause is not None
    assert words in cause.description
