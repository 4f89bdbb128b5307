"""One plan for all conflicts of an environment, and its one command."""

from __future__ import annotations

from typing import Any

from tests.facts import SHIPPED, distribution, environment, interpreter
from tests.remedies.test_smallest import GOOD, OLD
from vc2doctor.environment.model import Distribution, Environment
from vc2doctor.matrix.judge import Combination
from vc2doctor.remedies.plan import VersionPlan, plan, question_of
from vc2doctor.remedies.question import Goal


def of(versions: dict[str, str], *further: Distribution, **fields: Any) -> Environment:  # noqa: ANN401
    """Return an environment with ``versions``; each package declares what its release does."""
    releases = SHIPPED.wheels.releases
    distributions = [
        distribution(
            name,
            text,
            requires=tuple(
                f"{other}{specifier}"
                for other, specifier in (
                    releases[name][text].requires if text in releases.get(name, {}) else {}
                ).items()
            ),
        )
        for name, text in versions.items()
    ]
    return environment(distributions=(*distributions, *further), **fields)


def planned(facts: Environment, **goal: Any) -> VersionPlan:  # noqa: ANN401
    versions = {item.name: item.version for item in facts.distributions if item.version}
    combination = Combination(python="3.11", versions=versions)
    return plan(facts, question_of(facts, combination, SHIPPED, Goal(**{"recipe": "bf16", **goal})))


def test_nothing_is_done_to_versions_that_work() -> None:
    assert planned(of(GOOD)) == VersionPlan(versions=GOOD)


def test_two_conflicts_get_one_command() -> None:
    made = planned(of({**GOOD, "accelerate": "0.20.3", "huggingface-hub": "0.36.0"}))
    assert made.commands[0] == "/env/bin/python -m pip install accelerate==1.3.0 huggingface-hub==1.31.0"
    assert made.versions["accelerate"] == "1.3.0"
    assert made.versions["peft"] == GOOD["peft"]


WITH_TRL = {
    **GOOD,
    "transformers": "4.42.4",
    "tokenizers": "0.19.1",
    "huggingface-hub": "0.36.2",
    "peft": "0.11.1",
    "accelerate": "0.32.1",
    "numpy": "1.26.4",
    "trl": "0.9.6",
    "datasets": "3.0.0",
    "pyarrow": "25.0.0",
}
"""A set with a trl that imports rich and does not declare it; rich is not there."""


def test_a_package_that_trl_imports_without_a_declaration_is_brought() -> None:
    made = planned(of(WITH_TRL), doors=("dpo",))
    assert made.commands[0].endswith("pip install rich")
    assert not made.is_solved
    assert made.versions == WITH_TRL
    # Doors that were not requested do not matter.
    assert "rich" not in planned(of(WITH_TRL)).commands


def test_one_command_changes_versions_and_brings_what_nobody_declares() -> None:
    made = planned(of({**WITH_TRL, "pyarrow": "26.0.1"}), doors=("trainer", "sft"))
    assert made.commands[0].endswith("pip install pyarrow==25.0.0 rich")


def test_lost_metadata_gets_the_version_of_its_folder_again() -> None:
    versions = {name: text for name, text in GOOD.items() if name != "peft"}
    lost = distribution("peft", None, path="/env/peft-0.21.2.dist-info", problems=("METADATA is missing or empty",))
    made = planned(of(versions, lost))
    assert made.commands == ("/env/bin/python -m pip install --ignore-installed --no-deps peft==0.21.2",)


def test_damaged_package_in_a_bad_version_is_made_whole_and_then_changed() -> None:
    versions = {name: text for name, text in {**GOOD, **OLD}.items() if name != "peft"}
    lost = distribution("peft", None, path="/env/peft-0.21.2.dist-info", problems=("METADATA is missing or empty",))
    assert planned(of(versions, lost)).commands[0] == (
        "/env/bin/python -m pip install --ignore-installed --no-deps peft==0.21.2"
        " && /env/bin/python -m pip install peft==0.13.2 accelerate==0.34.2"
    )


def test_requirement_for_an_unknown_package_is_added_with_all_bounds() -> None:
    needing = distribution("accelerate", "1.15.0", requires=("psutil", "packaging>=20.0"))
    user = distribution("reader", "1", requires=("psutil<7",))
    versions = {name: text for name, text in GOOD.items() if name != "accelerate"}
    made = planned(of(versions, needing, user, distribution("packaging", "19.0")))
    assert made.commands == ("/env/bin/python -m pip install 'psutil<7' 'packaging>=20.0'",)


def test_new_environment_of_an_externally_managed_python_gets_everything() -> None:
    managed = interpreter(path="/usr/bin/python3", externally_managed=True)
    (command, *_) = planned(of({**GOOD, "accelerate": "0.20.3"}, interpreter=managed)).commands
    for requirement in ("accelerate==1.3.0", "peft==0.21.2", "transformers==5.23.0"):
        assert requirement in command.split()


def test_requirement_of_the_release_that_is_replaced_is_not_added() -> None:
    versions = {name: text for name, text in GOOD.items() if name != "huggingface-hub"}
    old = distribution("huggingface-hub", "0.36.0", requires=("requests",))
    made = planned(of(versions, old))
    assert made.commands == ("/env/bin/python -m pip install huggingface-hub==1.31.0",)


def test_package_that_the_training_does_not_use_is_not_brought() -> None:
    versions = {name: text for name, text in GOOD.items() if name != "peft"}
    answer = planned(of(versions), left_out=("peft",))
    assert (answer.commands, answer.is_solved) == ((), True)
    old = planned(of({**versions, "accelerate": "0.20.3"}), left_out=("peft",), wanted={"accelerate": ">=1.1"})
    assert not old.is_solved
    assert "accelerate==1." in old.commands[0]
    assert "peft" not in old.commands[0]
