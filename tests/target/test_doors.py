"""Every door on the real stack: it trains, and a fault that only it can show is caught there and nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import noxfile
from vc2doctor.environment import interpreter
from vc2doctor.probe.doors import DoorOutcome, door_outcomes, installed_doors
from vc2doctor.probe.run import OFFLINE, WORKER, probe
from vc2doctor.target.doors import DOORS

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("doors")]
"""Each test starts processes that use all processors: they run one after the other."""

NEWEST = noxfile.TRUTH_CELLS[0]
OTHER_TARGET = "VC2DOCTOR_DOORS_PYTHON"
"""Environment variable that names another environment: ``nox -s doors`` installs the packages of every door."""


@pytest.fixture(scope="module")
def target(stack_of: Callable[..., Path]) -> str:
    named = os.environ.get(OTHER_TARGET)
    return named or str(stack_of(*NEWEST.requirements) / "bin" / "python")


@pytest.fixture(scope="module")
def installed(target: str) -> tuple[str, ...]:
    return installed_doors([found.name for found in interpreter.observe(target).distributions])


def opened(target: str, doors: tuple[str, ...]) -> dict[str, DoorOutcome]:
    """Return the outcome at each of ``doors``."""
    run = probe(target, "cpu", [], 300.0, lambda _: None, {"model": "language", "doors": doors})
    assert run.ending == "finished", run.child.errors
    return {outcome.door: outcome for outcome in door_outcomes(run)}


def test_every_installed_door_trains(target: str, installed: tuple[str, ...]) -> None:
    outcomes = opened(target, installed)
    assert {name: (each.outcome, each.description) for name, each in outcomes.items() if each.outcome != "passed"} == {}
    assert {"trainer", "accelerate", "adapter", "ddp"} <= set(outcomes)


def test_a_planted_fault_is_caught_by_its_own_door_alone(target: str, installed: tuple[str, ...]) -> None:
    script = str(Path(__file__).with_name("doors_in_target.py"))
    command = [target, script, str(WORKER), *installed]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **OFFLINE})
    assert done.returncode == 0, done.stderr
    failures = json.loads(done.stdout.splitlines()[-1])
    assert {fault: list(doors) for fault, doors in failures.items()} == {door: [door] for door in installed}
    assert all("planted fault" in message for doors in failures.values() for message in doors.values())


def test_a_door_that_does_not_matter_is_imported_only(target: str, installed: tuple[str, ...]) -> None:
    run = probe(target, "cpu", [], 300.0, lambda _: None, {"model": "language", "import_doors": True})
    assert {outcome.door: outcome.outcome for outcome in door_outcomes(run)} == dict.fromkeys(installed, "imported")


def test_a_door_that_matters_and_is_not_installed_fails_at_its_import(target: str, installed: tuple[str, ...]) -> None:
    missing = next((name for name, door in DOORS.items() if name not in installed and not door.only_if_used), None)
    if missing is None:
        pytest.skip("the packages of every door are installed")
    (outcome,) = opened(target, (missing,)).values()
    assert outcome.outcome == "failed"
    assert outcome.error is not None
    assert outcome.error.type == "ModuleNotFoundError"


def test_the_imported_distributions_are_listed(target: str) -> None:
    run = probe(target, "cpu", [], 300.0, lambda _: None, {"model": "language", "doors": ("trainer",)})
    assert run.distributions is not None
    assert {"torch", "transformers", "peft", "accelerate", "numpy", "huggingface-hub"} <= set(run.distributions)
    assert "pip" not in run.distributions


def test_the_worker_lives_in_scratch_but_keeps_the_user_site(target: str, tmp_path: Path) -> None:
    """A door may write: not into the home of the user, whose own packages must still be found."""
    before = sorted(path.name for path in Path.home().iterdir())
    opened(target, ("trainer", "accelerate"))
    assert sorted(path.name for path in Path.home().iterdir()) == before
    assert list(tmp_path.iterdir()) == []
