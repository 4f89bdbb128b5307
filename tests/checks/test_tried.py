"""Which ways to train the verdict line names as not tried: those that something here points to."""

from __future__ import annotations

import pytest

from tests.facts import examination
from vc2doctor.checks.plan import Plan
from vc2doctor.checks.tried import NO_ADAPTERS, not_as_planned, through_door, unlikely
from vc2doctor.probe.doors import FLASH_ATTENTION, SEVERAL_GPUS, DoorOutcome
from vc2doctor.target.doors import DOORS


def outcome(name: str, *, matters: bool = False) -> DoorOutcome:
    return DoorOutcome(door=name, title=DOORS[name].title, outcome="imported", matters=matters, description="")


EVERY = tuple(outcome(name) for name in DOORS)
STACK = ("torch", "transformers", "peft", "accelerate", "datasets")


def named(plan: Plan, *installed: str, doors: tuple[DoorOutcome, ...] = EVERY, gpus: int = 0) -> set[str]:
    everything = {door.title for door in doors} | {SEVERAL_GPUS, FLASH_ATTENTION}
    return everything - unlikely(plan, doors, (*STACK, *installed), gpus)


def plan(code: str | None = None) -> Plan:
    return examination().plan.model_copy(update={"code": code})


def test_stack_alone_points_to_no_other_way_to_train() -> None:
    assert named(plan()) == set()


@pytest.mark.parametrize(
    ("package", "titles"),
    [
        ("trl", {DOORS["sft"].title, DOORS["dpo"].title, DOORS["grpo"].title}),
        ("deepspeed", {DOORS["deepspeed"].title, SEVERAL_GPUS}),
        ("bitsandbytes", {DOORS["kbit"].title}),
        ("flash-attn", {FLASH_ATTENTION}),
    ],
)
def test_package_that_is_installed_for_a_way_to_train_points_to_it(package: str, titles: set[str]) -> None:
    assert titles <= named(plan(), package)


def test_door_of_another_version_of_the_doctor_stays_named() -> None:
    unknown = EVERY[0].model_copy(update={"door": "of-later", "title": "a trainer of later"})
    assert named(plan(), doors=(unknown,)) == {"a trainer of later"}


def test_several_gpus_point_to_wrappers() -> None:
    assert named(plan(), gpus=2) == {SEVERAL_GPUS}


def test_code_that_was_read_names_its_ways_itself() -> None:
    doors = (outcome("sft"), outcome("dpo", matters=True))
    assert named(plan("."), "trl", doors=doors) == {DOORS["dpo"].title}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"learning_rate": 2e-4}, []),
        ({"learning_rate": 0.03}, ["your learning rate of 0.03 (the probe steps at 0.001)"]),
        # The optimizer of the user's own function has its own rate.
        ({"learning_rate": 0.03, "entry": "mine:build"}, []),
        ({"adapters": False}, [NO_ADAPTERS]),
    ],
)
def test_what_the_probe_does_not_do_as_the_user_does_is_said(changes: dict[str, object], expected: list[str]) -> None:
    assert list(not_as_planned(plan().model_copy(update=changes))) == expected


def test_a_door_is_named_as_what_went_through_it() -> None:
    passed = outcome("trainer").model_copy(update={"outcome": "passed"})
    own = examination(planned={"entry": "model.py:build"}).plan
    assert through_door(own, passed).title == "transformers.Trainer (with a small model of the doctor's)"
    assert through_door(own, outcome("trainer")).title == through_door(plan(), passed).title == "transformers.Trainer"
