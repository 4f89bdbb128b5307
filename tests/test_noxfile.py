"""The settings that nox sessions pass to uv, and the named cells."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import noxfile
from tests.facts import EVIDENCE

PIP_VARIABLES = ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT")
UV_VARIABLES = ("UV_FIND_LINKS", "UV_DEFAULT_INDEX", "UV_INDEX", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def unset_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PIP_VARIABLES, *UV_VARIABLES):
        monkeypatch.delenv(name, raising=False)


def test_without_pip_variables_uv_gets_none() -> None:
    assert noxfile.uv_settings() == {}


def test_pip_variables_are_translated_for_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels https://example.org/wheels")
    monkeypatch.setenv("PIP_INDEX_URL", "https://example.org/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.example https://b.example")
    monkeypatch.setenv("PIP_CERT", "/cert.pem")
    assert noxfile.uv_settings() == {
        "UV_FIND_LINKS": "/wheels,https://example.org/wheels",
        "UV_DEFAULT_INDEX": "https://example.org/simple",
        "UV_INDEX": "https://a.example https://b.example",
        "SSL_CERT_FILE": "/cert.pem",
    }


def test_uv_variables_of_the_user_take_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example")
    assert noxfile.uv_settings() == {}


def test_every_named_cell_was_measured_with_its_versions() -> None:
    for cell in noxfile.CELLS:
        lines = [line for line in EVIDENCE if line.name == cell.name]
        assert lines, f"{cell.name} was never measured: nox -s 'cells({cell.name})'"
        for line in lines:
            versions = {**line.cell.model_dump(), **line.resolved}
            assert line.cell.python == cell.python
            for text in cell.requirements:
                requirement = Requirement(text)
                assert requirement.specifier.contains(versions[requirement.name]), f"{cell.name}: {text}"


def test_every_named_cell_is_a_session_that_ci_can_list() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "nox", "--json", "-l", "-s", "cells"],
        cwd=Path(noxfile.__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    sessions = {session["session"] for session in json.loads(process.stdout)}
    assert sessions == {f"cells({cell.name})" for cell in noxfile.CELLS}
