"""What torch's warnings say about a training: the shapes of a loss, and gradients that are other ones."""

from __future__ import annotations

import pytest

from tests.facts import probe_run, recipe
from vc2doctor.probe.failed_step import Broadcast, StepWarning
from vc2doctor.probe.outcome import outcomes
from vc2doctor.probe.step_warnings import meaning_of, place_of_broadcast

SIZES = (
    "Using a target size (torch.Size({target})) that is different to the input size (torch.Size({given})). This will"
    " likely lead to incorrect results due to broadcasting. Please ensure they have the same size."
)


def warned(message: str) -> StepWarning:
    return StepWarning(category="UserWarning", message=message, count=6, file="model.py", line=3)


@pytest.mark.parametrize(
    ("target", "given", "rows"),
    [
        ("[16]", "[16, 1]", 16),
        ("[16, 1]", "[16]", 16),
        ("[1]", "[16, 1]", None),
        ("[]", "[16, 1]", None),
        ("[1, 4]", "[16, 4]", None),
        ("[16, 4]", "[16, 1]", None),
    ],
    ids=str,
)
def test_only_a_loss_that_both_operands_grow_into_compares_rows_with_all(
    target: str, given: str, rows: int | None
) -> None:
    run = recipe("fp32", warnings=(warned(SIZES.format(target=target, given=given)),))
    found = place_of_broadcast(run, probe_run(run))
    assert (found and found.rows) == rows
    (outcome,) = outcomes(probe_run(run, recipes=(run,)))
    assert (outcome.outcome, outcome.cause and outcome.cause.id) == (
        ("finite", None) if rows is None else ("weak", "loss-broadcast")
    )


def test_the_line_of_the_loss_is_named() -> None:
    run = recipe("fp32")
    probe = probe_run(run, broadcast=Broadcast(rows=8, module="", file="model.py", line=7), recipes=(run,))
    (outcome,) = outcomes(probe)
    assert outcome.description == "the loss falls, but it compares each of 8 rows with the targets of all rows"
    assert outcome.cause is not None
    assert "make a loss of shape (8, 8) (model.py:7)" in outcome.cause.description


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("Using a non-full backward hook when the forward contains multiple autograd Nodes is deprecated", True),
        ("Casting complex values to real discards the imaginary part (Triggered internally)", True),
        ("Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch 1.1.0", False),
        ("The PyTorch API of nested tensors is in prototype stage", None),
        ("None of the inputs have requires_grad=True. Gradients will be None", None),
    ],
)
def test_warnings_that_change_the_training_are_known(message: str, *, changes: bool | None) -> None:
    meaning = meaning_of(warned(message))
    assert (meaning and meaning.changes_training) == changes
