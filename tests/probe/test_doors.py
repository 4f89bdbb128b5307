"""What happened at a door is judged by the facts alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.facts import failure, probe_run
from vc2doctor.probe.doors import NEVER_TRIED, DoorState, door_outcomes, installed_doors, not_tried
from vc2doctor.probe.facts import DoorRun
from vc2doctor.target.doors import DEFAULT_DOORS, DOORS, door_named

PASSED: dict[str, Any] = {
    "door": "trainer",
    "trains": True,
    "finished": True,
    "phase": "step",
    "losses": (4.5, 4.4),
    "moved": 1.0,
}


@pytest.mark.parametrize(
    ("changed", "outcome", "said"),
    [
        ({}, "passed", "losses 4.5, 4.4; 100% of the trainable elements moved"),
        ({"losses": (4.5, None)}, "failed", "the loss is not finite at step 1"),
        ({"losses": ()}, "failed", "no loss was reported, so no step was taken"),
        ({"moved": 0.0}, "failed", "the steps changed no trainable parameter"),
        ({"moved": None}, "failed", "the steps changed no trainable parameter"),
        ({"error": failure("no such name")}, "failed", "a training step fails: RuntimeError: no such name"),
        ({"phase": "import", "error": failure("gone")}, "failed", "the import fails: RuntimeError: gone"),
        ({"unavailable": "a GPU only"}, "unsupported", "a GPU only"),
        ({"phase": "import", "unavailable": "trl 0.9 has no GRPOTrainer"}, "failed", "trl 0.9 has no GRPOTrainer"),
        ({"phase": "import", "unavailable": "too old", "trains": False}, "unsupported", "too old"),
        ({"phase": "import", "trains": False, "losses": ()}, "imported", "the import succeeds; no step was tried"),
        ({"finished": False}, None, "the probe ended here"),
    ],
)
def test_outcomes(changed: dict[str, Any], outcome: DoorState | None, said: str) -> None:
    (judged,) = door_outcomes(probe_run(doors=(DoorRun(**{**PASSED, **changed}),)))
    assert (judged.outcome, judged.description) == (outcome, said)
    assert judged.title == "transformers.Trainer"


def test_trainer_alone_matters_by_default() -> None:
    assert DEFAULT_DOORS == ("trainer",)


def test_doors_are_installed_if_all_their_packages_are() -> None:
    stack = ("torch", "transformers", "peft")
    assert set(installed_doors(stack)) == {"adapter", "ddp"}
    assert set(installed_doors((*stack, "accelerate"))) == {"trainer", "accelerate", "adapter", "ddp"}
    assert "dpo" not in installed_doors((*stack, "trl"))
    assert {"sft", "dpo", "grpo"} <= set(installed_doors((*stack, "trl", "datasets")))
    assert "lightning" in installed_doors(("pytorch-lightning",))
    assert "lightning" in installed_doors(("lightning",))


def test_what_was_not_tried_is_named() -> None:
    imported = DoorRun(door="dpo", trains=False, finished=True)
    outcomes = door_outcomes(probe_run(doors=(DoorRun(**PASSED), imported)))
    assert not_tried(outcomes) == ("trl's DPOTrainer", *NEVER_TRIED)


def test_a_door_is_named_or_the_choices_are_listed() -> None:
    assert [door_named(name) for name in ("loop", *DOORS)] == ["loop", *DOORS]
    with pytest.raises(ValueError, match="'trianer' is not one of loop, trainer, "):
        door_named("trianer")


def test_steps_that_do_otherwise_than_meant_pass_with_a_doubt() -> None:
    run = DoorRun(**{**PASSED, "door": "accumulation", "doubt": "x"})
    (outcome,) = door_outcomes(probe_run(doors=(run,)))
    assert (outcome.outcome, outcome.doubt) == ("passed", "x")
