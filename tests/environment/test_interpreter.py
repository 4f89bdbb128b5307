"""The script of facts, run in real environments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Venv, make_venv
from vc2doctor.core.child import TargetError
from vc2doctor.environment import interpreter

if TYPE_CHECKING:
    from collections.abc import Callable


def files_under(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file()}


def test_finds_the_venv_by_its_folder(venv: Venv) -> None:
    assert interpreter.find(str(venv.root)) == venv.python


def test_a_link_to_python_is_not_followed(venv: Venv) -> None:
    assert interpreter.find(venv.python) == venv.python


def test_a_command_is_looked_up_on_the_path(venv: Venv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(venv.root / "bin"))
    assert interpreter.find("python3") == str(venv.root / "bin" / "python3")


def test_the_default_is_the_doctors_own() -> None:
    assert interpreter.find(None) == sys.executable


def test_no_such_interpreter() -> None:
    with pytest.raises(TargetError, match="--python nowhere-to-be-found: there is no such interpreter"):
        interpreter.find("nowhere-to-be-found")


def test_reads_distributions_and_modules(venv: Venv) -> None:
    venv.add("torch", "2.13.0+cpu", requires=("sympy>=1.13",))
    venv.add("huggingface-hub", "0.36.2")
    facts = interpreter.observe(venv.python)
    found = {distribution.name: distribution for distribution in facts.distributions}
    assert found["torch"].version == "2.13.0+cpu"
    assert found["torch"].requires == ("sympy>=1.13",)
    assert found["torch"].installer == "pip"
    assert found["torch"].problems == ()
    assert found["huggingface-hub"].version == "0.36.2"
    modules = {module.name: module for module in facts.modules}
    assert modules["torch"].origin == str(venv.packages / "torch" / "__init__.py")
    assert not modules["peft"].found
    assert facts.interpreter.kind == "venv"
    assert not facts.interpreter.has_pip


def test_nothing_is_imported_and_nothing_is_written(venv: Venv) -> None:
    venv.add_stack(torch="raise SystemExit('imported')")
    before = files_under(venv.root)
    interpreter.observe(venv.python)
    assert files_under(venv.root) == before


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"])
def test_every_python(version: str, venv_of: Callable[[str], Venv]) -> None:
    other = venv_of(version)
    other.add("torch", "2.1.0")
    facts = interpreter.observe(other.python)
    assert facts.interpreter.minor == version
    assert facts.platform.markers["python_version"] == version
    assert any((found.name, found.version) == ("torch", "2.1.0") for found in facts.distributions)


def test_what_a_sitecustomize_prints_disturbs_nothing(venv: Venv) -> None:
    (venv.packages / "sitecustomize.py").write_text("print('{}'); import sys; print('x', file=sys.stderr)")
    venv.add("torch", "2.1.0")
    assert interpreter.observe(venv.python).distributions[0].name == "torch"


def test_a_user_site_and_pythonpath_are_seen(venv: Venv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_venv(tmp_path / "other")
    other.add("peft", "0.9.0")
    monkeypatch.setenv("PYTHONPATH", str(other.packages))
    assert any(found.name == "peft" for found in interpreter.observe(venv.python).distributions)


def test_modules_of_the_doctor_shadow_nothing(venv: Venv) -> None:
    # The script's own folder is first on the path of a script run by path; it holds a cpu.py and a model.py.
    venv.add("torch", "1", module=None)
    facts = interpreter.observe(venv.python)
    assert all("vc2doctor" not in (module.origin or "") for module in facts.modules)


def test_an_editable_installation(venv: Venv) -> None:
    info = venv.add("peft", "0.10.0", module=None)
    (info / "direct_url.json").write_text('{"url": "file:///src/peft", "dir_info": {"editable": true}}')
    assert interpreter.observe(venv.python).distributions[0].editable


def test_an_egg_info_is_read(venv: Venv) -> None:
    folder = venv.packages / "torch-2.0.0-py3.11.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.0.0\n")
    found = interpreter.observe(venv.python).distributions[0]
    assert (found.name, found.version, found.problems) == ("torch", "2.0.0", ())


def test_an_interpreter_outside_a_venv() -> None:
    facts = interpreter.observe(str(Path(sys.base_prefix) / "bin" / "python3"))
    expected = "conda" if (Path(sys.base_prefix) / "conda-meta").is_dir() else "system"
    assert (facts.interpreter.kind, facts.interpreter.prefix) == (expected, sys.base_prefix)


class TestDamage:
    """What is broken becomes a problem, not a traceback."""

    def only(self, venv: Venv) -> tuple[str, ...]:
        (found,) = interpreter.observe(venv.python).distributions
        return found.problems

    def test_missing_metadata(self, venv: Venv) -> None:
        (venv.add("peft", "0.10.0") / "METADATA").unlink()
        assert self.only(venv) == ("METADATA is missing or empty",)

    def test_empty_metadata(self, venv: Venv) -> None:
        (venv.add("peft", "0.10.0") / "METADATA").write_text("")
        assert self.only(venv) == ("METADATA is missing or empty",)

    def test_metadata_without_version(self, venv: Venv) -> None:
        (venv.add("peft", "0.10.0") / "METADATA").write_text("Name: peft\n")
        assert self.only(venv) == ("METADATA names no version",)

    def test_metadata_that_is_not_text(self, venv: Venv) -> None:
        (venv.add("peft", "0.10.0") / "METADATA").write_bytes(b"\xff\xfe\x00\x01" * 50)
        assert self.only(venv)

    def test_broken_record(self, venv: Venv) -> None:
        (venv.add("peft", "0.10.0") / "RECORD").write_text('"an open quote\nand, far, too, many, fields, here\n')
        assert any("RECORD" in problem for problem in self.only(venv))

    def test_binary_record(self, venv: Venv) -> None:
        (venv.add("peft", "0.10.0") / "RECORD").write_bytes(b"\xff\xfe\x00\x01" * 50)
        assert any("RECORD" in problem for problem in self.only(venv))

    def test_missing_record(self, venv: Venv) -> None:
        (venv.add("peft", "0.10.0") / "RECORD").unlink()
        assert self.only(venv) == ("RECORD is missing, so pip cannot remove it",)

    def test_a_record_that_conda_does_not_write_is_not_missed(self, venv: Venv) -> None:
        info = venv.add("peft", "0.10.0")
        (info / "RECORD").unlink()
        (info / "INSTALLER").write_text("conda\n")
        assert self.only(venv) == ()

    def test_lost_files(self, venv: Venv) -> None:
        info = venv.add("peft", "0.10.0")
        with (info / "RECORD").open("a") as record:
            record.write("peft/gone.py,,\n")
        assert self.only(venv) == ("1 of the 2 modules in RECORD are not on disk, e.g. peft/gone.py",)

    def test_tests_that_a_slim_image_leaves_out_are_not_missed(self, venv: Venv) -> None:
        info = venv.add("peft", "0.10.0")
        with (info / "RECORD").open("a") as record:
            record.write("peft/tests/test_lora.py,,\n")
        assert self.only(venv) == ()

    def test_two_of_one_package(self, venv: Venv) -> None:
        venv.add("peft", "0.10.0")
        venv.add("peft", "0.4.0")
        versions = {found.version for found in interpreter.observe(venv.python).distributions}
        assert versions == {"0.10.0", "0.4.0"}


class TestLyingInterpreters:
    """What is not a Python gets one clear message."""

    def script(self, tmp_path: Path, text: str) -> str:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    def test_not_a_python(self, tmp_path: Path) -> None:
        with pytest.raises(TargetError, match=r"did not tell its facts \(exit code 3\); its last words: no python"):
            interpreter.observe(self.script(tmp_path, "echo no python >&2; exit 3"))

    def test_silent(self, tmp_path: Path) -> None:
        with pytest.raises(TargetError, match="its last words: nothing"):
            interpreter.observe(self.script(tmp_path, "exit 0"))

    def test_hanging(self, tmp_path: Path) -> None:
        with pytest.raises(TargetError, match="timeout"):
            interpreter.observe(self.script(tmp_path, "exec sleep 60"), timeout=0.5)

    def test_facts_of_another_shape(self, tmp_path: Path) -> None:
        path = tmp_path / "python"
        told = b'{"event": "facts", "interpreter": {}}\n'
        path.write_text(f"#!{sys.executable}\nimport os, sys\nos.write(int(sys.argv[-1]), {told!r})\n")
        path.chmod(0o755)
        with pytest.raises(TargetError, match="told facts that cannot be read"):
            interpreter.observe(str(path))

    def test_not_executable(self, tmp_path: Path) -> None:
        path = tmp_path / "python"
        path.write_text("x")
        with pytest.raises(TargetError, match="cannot run"):
            interpreter.observe(str(path))
