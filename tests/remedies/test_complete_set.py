"""What is advised where the stack is missing: the versions of the project, or a measured set."""

from __future__ import annotations

from tests.facts import SHIPPED
from tests.remedies.test_plan import of, planned
from vc2doctor.commands.measured_set import best_measured
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.matrix.judge import Combination
from vc2doctor.remedies.complete_set import complete_sets
from vc2doctor.remedies.plan import VersionPlan, question_of
from vc2doctor.remedies.question import Goal

TOOLS = {"setuptools": "65.5.0", "jinja2": "3.1.6"}
"""A virtual environment of Python 3.11. torch 2.13 needs a newer setuptools, which pip brings by itself."""
PINS = {"torch": "==2.13.0", "transformers": "==5.23.0", "peft": "==0.21.2"}


def advised(asked: dict[str, str], versions: dict[str, str] = TOOLS) -> VersionPlan:
    return planned(of(versions), asked=asked)


def command(made: VersionPlan) -> str:
    return made.commands[0].removeprefix("/env/bin/python -m pip install ")


def test_verified_pins_of_the_project_are_advised_although_the_installer_has_to_raise_setuptools() -> None:
    made = advised(PINS)
    assert command(made) == "torch==2.13.0 transformers==5.23.0 peft==0.21.2"
    assert made.remedies[0].reason.startswith("verified: Cell ")


def test_compatible_pins_of_the_project_are_advised() -> None:
    made = advised({"torch": "==2.12.1", "transformers": "==5.23.0", "peft": "==0.21.2"})
    assert command(made) == "torch==2.12.1 transformers==5.23.0 peft==0.21.2"
    assert made.remedies[0].reason.startswith("compatible: ")


def test_pins_that_fail_are_not_advised() -> None:
    made = advised({"torch": "==2.13.0", "transformers": "==4.40.2", "peft": "==0.21.2"})
    assert "transformers==4.40.2" not in command(made)
    assert made.remedies[0].reason.startswith("verified: Cell ")


def test_ranges_of_the_project_are_met_by_a_measured_set() -> None:
    made = advised({"transformers": ">=4.44,<4.50"})
    assert "transformers==4.4" in command(made)
    assert made.remedies[0].reason.startswith("verified: Cell ")


def test_pins_of_some_packages_are_completed() -> None:
    assert "transformers==4.44.2 peft==0.4.0" in command(advised({"transformers": "==4.44.2", "peft": "==0.4.0"}))


def test_without_pins_the_set_is_the_one_that_needs_names() -> None:
    best = best_measured(SHIPPED, {}, {}, "bf16")
    assert best is not None
    combination = Combination(python=best.python, versions={})
    question = question_of(of({}), combination, SHIPPED, Goal(recipe="bf16", doors=()))
    assert complete_sets(question)[0].changes == {name: best.versions[name] for name in STACK_PACKAGES}


def test_what_is_installed_of_the_stack_stays() -> None:
    made = advised(PINS, {**TOOLS, "torch": "2.13.0", "setuptools": "84.2.1"})
    assert command(made) == "transformers==5.23.0 peft==0.21.2"


def test_package_that_stays_and_forbids_what_the_pins_need_is_respected() -> None:
    facts = of({**TOOLS, "trl": "1.0.0"})
    declared = facts.distributions[-1].model_copy(update={"requires": ("setuptools<70",)})
    facts = facts.model_copy(update={"distributions": (*facts.distributions[:-1], declared)})
    assert "torch==2.13.0" not in planned(facts, asked=PINS).commands[0]
