"""Names of the user's programs, really imported one by one, from the packages that are installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.target.worker_package import EventList
from vc2doctor.target.probe import script_names
from vc2doctor.target.shared.spec import Spec


def run(*names: str) -> dict[str, Any]:
    events = EventList()
    script_names.run(events, Spec(names=names))
    return events.events[-1] if events.events else {}


def test_names_and_submodules_that_are_there_are_found() -> None:
    assert run("json:dumps", "json:decoder", "os.path:join") == {
        "event": "names",
        "tried": 3,
        "left_out": 0,
        "missing": [],
    }


def test_a_missing_name_has_its_error_and_what_is_spelled_like_it() -> None:
    facts = run("json:dump_s", "json.no_such_module:x")
    first, second = facts["missing"]
    assert (first["module"], first["name"], first["near"]) == ("json", "dump_s", ["dumps", "dump"])
    assert first["error"]["missing"] == {"module": "json", "symbol": "dump_s"}
    assert first["error"]["file"] is None
    assert second["error"]["message"] == "No module named 'json.no_such_module'"


def test_packages_that_are_not_installed_are_left_alone() -> None:
    assert run("not_installed_anywhere:x") == {}
    assert run("not_installed_anywhere:x", "json:dumps")["left_out"] == 1


def test_a_package_that_nothing_else_imports_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can need a name that another package lost: only its own import shows that."""
    (tmp_path / "needs_old.py").write_text("from json import removed_long_ago\n")
    monkeypatch.syspath_prepend(tmp_path)
    (missing,) = run("needs_old:x")["missing"]
    assert missing["error"]["missing"] == {"module": "json", "symbol": "removed_long_ago"}
    assert "needs_old" not in sys.modules


def test_a_package_that_ends_the_process_is_a_missing_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "loaded_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("loaded_package")
    (missing,) = run("loaded_package.inner:x")["missing"]
    assert missing["error"]["type"] == "SystemExit"


@pytest.mark.parametrize("text", ["json:dumps; raise SystemExit", "json:", ":x", "json", "json.:x", "json:a b"])
def test_what_is_no_name_of_python_is_not_run(text: str) -> None:
    facts = run(text)
    assert facts == {} or facts["missing"]
    assert not facts or facts["tried"] == 1
