"""What manages an environment: the files that uv, poetry and conda leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.environment.sources.manager import observe

PYPROJECT = """
[project]
name = "demo"
dependencies = ["peft>=0.10", "not a requirement!"]
[project.optional-dependencies]
train = ["Accelerate"]
[dependency-groups]
dev = ["pytest", "peft", {include-group = "x"}]
[tool.poetry.dependencies]
torch = "^2.2"
[tool.poetry.group.docs.dependencies]
jinja2 = "*"
"""


def project(folder: Path, lock: str, *, pyproject: str = PYPROJECT, cfg: str = "home = /usr\n") -> Path:
    """Write a project with a lock file and the environment ``.venv``; return the environment."""
    prefix = folder / ".venv"
    prefix.mkdir()
    (folder / lock).write_text("", encoding="utf-8")
    (folder / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    (prefix / "pyvenv.cfg").write_text(cfg, encoding="utf-8")
    return prefix


def test_plain_environment_has_no_manager(tmp_path: Path) -> None:
    facts = observe(tmp_path / "nothing", tmp_path)
    assert (facts.made_by_uv, facts.uv_project, facts.poetry_project, facts.conda_packages) == (False, None, None, ())


def test_environment_that_uv_made_is_known_by_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").write_text("home = /usr\nuv = 0.13.9\n", encoding="utf-8")
    assert observe(tmp_path, tmp_path).made_by_uv


def test_project_of_uv_is_named_with_its_direct_requirements(tmp_path: Path) -> None:
    facts = observe(project(tmp_path, "uv.lock"), tmp_path)
    assert facts.uv_project == str(tmp_path)
    assert facts.direct["peft"] == ""
    assert facts.direct["accelerate"] == "--optional train"
    assert facts.direct["pytest"] == "--group dev"
    assert facts.direct["jinja2"] == "--group docs"


def test_another_environment_beside_a_lock_file_is_not_the_project_s(tmp_path: Path) -> None:
    project(tmp_path, "uv.lock")
    assert observe(tmp_path / "other", tmp_path).uv_project is None


def test_project_of_poetry_is_found_for_both_places_of_its_environment(tmp_path: Path) -> None:
    assert observe(project(tmp_path, "poetry.lock"), tmp_path).poetry_project == str(tmp_path)
    cached = tmp_path / "pypoetry" / "virtualenvs" / "demo-abc-py3.11"
    assert observe(cached, tmp_path / "src").poetry_project == str(tmp_path)


@pytest.mark.parametrize("text", ["not toml", "[project]\ndependencies = 3", "tool = 1"])
def test_odd_project_file_is_no_error(tmp_path: Path, text: str) -> None:
    assert observe(project(tmp_path, "uv.lock", pyproject=text), tmp_path).direct == {}


def test_records_of_conda_are_read(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    for record in ("huggingface_hub-0.36.2-pyhd8ed1ab_0", "pytorch-2.5.1-cpu_mkl_py311", "history"):
        (tmp_path / "conda-meta" / f"{record}.json").write_text("{}", encoding="utf-8")
    assert observe(tmp_path, tmp_path).conda_packages == ("huggingface_hub", "pytorch")


def test_group_whose_name_would_become_further_options_is_left_out(tmp_path: Path) -> None:
    hostile = """[project]
name = "demo"
[dependency-groups]
"dev --index https://example.org" = ["torch"]
"--index-url=https://example.org" = ["peft"]
[project.optional-dependencies]
"x; touch y" = ["trl"]
"""
    prefix = project(tmp_path, "uv.lock", pyproject=hostile)
    assert observe(prefix, tmp_path).direct == {}


@pytest.mark.parametrize("text", ["a" + ".a" * 100_000 + " = 1", "a = " + "[" * 100_000, f"a = {'1' * 5000}"])
def test_project_file_over_a_budget_has_no_requirements(tmp_path: Path, text: str) -> None:
    assert observe(project(tmp_path, "uv.lock", pyproject=text), tmp_path).direct == {}
