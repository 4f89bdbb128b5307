"""The remedy, tried in a fresh environment that is really built, from wheels that are written here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Venv
from tests.wheels import write_wheel
from vc2doctor.commands.check import check
from vc2doctor.commands.report import Report
from vc2doctor.commands.request import CheckRequest
from vc2doctor.core.versions import STACK_PACKAGES

BROKEN = {"torch": "2.13.0", "transformers": "4.40.1", "peft": "0.17.0"}
"""peft 0.17 imports a name that this transformers does not have."""


@pytest.fixture
def broken(venv: Venv) -> Venv:
    for name, version in BROKEN.items():
        venv.add(name, version)
    return venv


@pytest.fixture(params=["uv", "pip"])
def index(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty index, which uv or pip uses in place of the real one."""
    folder = tmp_path / "index"
    folder.mkdir()
    for tool in ("UV", "PIP"):
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(folder))
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
    monkeypatch.setenv("UV_OFFLINE", "1")
    # The cache of this machine may hold the real packages.
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    if request.param == "pip":
        monkeypatch.setattr(shutil, "which", lambda _: None)
    elif shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    return folder


def examine(venv: Venv, folder: Path, *, verify: bool = True) -> Report:
    request = CheckRequest(python=venv.python, probe=False, verify_remedy=verify, timeout=60)
    return check(request, folder, lambda _: None)


def test_fresh_environment_has_the_versions_of_the_remedy(broken: Venv, index: Path, tmp_path: Path) -> None:
    plan = examine(broken, tmp_path, verify=False).version_plan
    assert plan is not None
    for name in STACK_PACKAGES:
        write_wheel(index, name, plan.versions[name])
    before = sorted(path.name for path in broken.packages.iterdir())
    trial = examine(broken, tmp_path).remedy_trial
    assert trial is not None
    # These wheels hold no real torch, so the probe of the fresh environment must fail, and say why.
    assert (trial.outcome, trial.verdict) == ("fails", "unfit"), trial
    assert trial.changes == {"peft": plan.versions["peft"]}
    assert any("torch" in error for error in trial.errors), trial.errors
    assert sorted(path.name for path in broken.packages.iterdir()) == before


def test_package_that_cannot_be_installed_is_reported(broken: Venv, index: Path, tmp_path: Path) -> None:
    assert not list(index.iterdir())
    trial = examine(broken, tmp_path).remedy_trial
    assert trial is not None
    assert (trial.outcome, trial.verdict) == ("not built", None)
    assert "failed (exit code" in trial.errors[0]
    assert "transformers" in trial.errors[0] or "torch" in trial.errors[0]


def test_versions_that_work_have_no_remedy_to_try(venv: Venv, tmp_path: Path) -> None:
    venv.add_stack()
    trial = examine(venv, tmp_path).remedy_trial
    assert trial is not None
    assert trial.outcome == "no remedy"
