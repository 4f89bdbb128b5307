"""``describe_environment.py``, run in real environments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import noxfile
from tests.conftest import Venv, make_venv
from vc2doctor.core.child import TargetError
from vc2doctor.environment import interpreter
from vc2doctor.environment.gather import gather
from vc2doctor.environment.interpreter import ObservationError
from vc2doctor.environment.model import ObservationFailure, TargetChoice

if TYPE_CHECKING:
    from collections.abc import Callable


def files_under(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file()}


def test_venv_is_found_by_its_folder(venv: Venv) -> None:
    assert interpreter.find(str(venv.root)) == venv.python


def test_link_to_python_is_not_followed(venv: Venv) -> None:
    assert interpreter.find(venv.python) == venv.python


def test_command_is_looked_up_on_the_path(venv: Venv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(venv.root / "bin"))
    assert interpreter.find("python3") == str(venv.root / "bin" / "python3")


def test_interpreter_that_does_not_exist_is_a_target_error() -> None:
    with pytest.raises(TargetError, match="--python nowhere-to-be-found: there is no such interpreter"):
        interpreter.find("nowhere-to-be-found")


def test_file_and_folder_that_are_no_interpreter_are_answered_with_what_to_pass(tmp_path: Path, venv: Venv) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    with pytest.raises(TargetError, match=r"notes\.txt: this file cannot be run, so it is no interpreter\. Pass the"):
        interpreter.find(str(tmp_path / "notes.txt"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(TargetError, match=r"empty: this folder has no bin/python, .*\. Pass the path of a python"):
        interpreter.find(str(tmp_path / "empty"))
    with pytest.raises(TargetError, match=rf"Did you mean --python {venv.root}\?"):
        interpreter.find(str(venv.root.parent))


def test_distributions_and_modules_are_read(venv: Venv) -> None:
    venv.add("torch", "2.13.0+cpu", requires=("sympy>=1.13",))
    venv.add("huggingface-hub", "0.36.2")
    facts = interpreter.observe(venv.python)
    distributions = {distribution.name: distribution for distribution in facts.distributions}
    assert distributions["torch"].version == "2.13.0+cpu"
    assert distributions["torch"].requires == ("sympy>=1.13",)
    assert distributions["torch"].installer == "pip"
    assert distributions["torch"].problems == ()
    assert distributions["huggingface-hub"].version == "0.36.2"
    modules = {module.name: module for module in facts.modules}
    assert modules["torch"].origin == str(venv.packages / "torch" / "__init__.py")
    assert not modules["peft"].found
    assert facts.interpreter.kind == "venv"
    assert not facts.interpreter.has_pip


def test_observing_imports_nothing_and_writes_nothing(venv: Venv) -> None:
    venv.add_stack(torch="raise SystemExit('imported')")
    files_before = files_under(venv.root)
    interpreter.observe(venv.python)
    assert files_under(venv.root) == files_before


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"])
def test_every_supported_python_can_be_observed(version: str, venv_of: Callable[[str], Venv]) -> None:
    venv = venv_of(version)
    venv.add("torch", "2.1.0")
    facts = interpreter.observe(venv.python)
    assert facts.interpreter.minor == version
    assert facts.platform.markers["python_version"] == version
    assert ("torch", "2.1.0") in {(distribution.name, distribution.version) for distribution in facts.distributions}


def test_output_of_sitecustomize_does_not_disturb_the_facts(venv: Venv) -> None:
    (venv.packages / "sitecustomize.py").write_text("print('{}'); import sys; print('x', file=sys.stderr)")
    venv.add("torch", "2.1.0")
    assert interpreter.observe(venv.python).distributions[0].name == "torch"


def test_packages_on_pythonpath_are_seen(venv: Venv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_venv = make_venv(tmp_path / "other")
    other_venv.add("peft", "0.9.0")
    monkeypatch.setenv("PYTHONPATH", str(other_venv.packages))
    assert "peft" in {distribution.name for distribution in interpreter.observe(venv.python).distributions}


def test_modules_of_the_doctor_do_not_shadow_those_of_the_target(venv: Venv) -> None:
    # Python puts the folder of a script first on its path. The folder of this one holds modules of the doctor.
    venv.add("torch", "1", module=None)
    facts = interpreter.observe(venv.python)
    assert all("vc2doctor" not in (module.origin or "") for module in facts.modules)


def test_editable_installation_is_recognized(venv: Venv) -> None:
    info = venv.add("peft", "0.10.0", module=None)
    (info / "direct_url.json").write_text('{"url": "file:///src/peft", "dir_info": {"editable": true}}')
    assert interpreter.observe(venv.python).distributions[0].editable


def test_egg_info_is_read(venv: Venv) -> None:
    folder = venv.packages / "torch-2.0.0-py3.11.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.0.0\n")
    distribution = interpreter.observe(venv.python).distributions[0]
    assert (distribution.name, distribution.version, distribution.problems) == ("torch", "2.0.0", ())


def test_interpreter_outside_of_a_venv_is_system_or_conda() -> None:
    facts = interpreter.observe(str(Path(sys.base_prefix) / "bin" / "python3"))
    expected = "conda" if (Path(sys.base_prefix) / "conda-meta").is_dir() else "system"
    assert (facts.interpreter.kind, facts.interpreter.prefix) == (expected, sys.base_prefix)


class TestDamage:
    """A damaged distribution has a problem; it causes no traceback."""

    def problems(self, venv: Venv) -> tuple[str, ...]:
        (distribution,) = interpreter.observe(venv.python).distributions
        return distribution.problems

    def test_missing_metadata_is_a_problem(self, venv: Venv) -> None:
        (venv.add("peft", "0.10.0") / "METADATA").unlink()
        assert self.problems(venv) == ("METADATA is missing or empty",)

    def test_empty_metadata_is_a_problem(self, venv: Venv) -> None:
        (venv.add("peft", "0.10.0") / "METADATA").write_text("")
        assert self.problems(venv) == ("METADATA is missing or empty",)

    def test_metadata_without_version_is_a_problem(self, venv: Venv) -> None:
        (venv.add("peft", "0.10.0") / "METADATA").write_text("Name: peft\n")
        assert self.problems(venv) == ("METADATA names no version",)

    def test_metadata_that_is_not_text_is_a_problem(self, venv: Venv) -> None:
        (venv.add("peft", "0.10.0") / "METADATA").write_bytes(b"\xff\xfe\x00\x01" * 50)
        assert self.problems(venv)

    def test_record_that_is_not_csv_is_a_problem(self, venv: Venv) -> None:
        (venv.add("peft", "0.10.0") / "RECORD").write_text('"an open quote\nand, far, too, many, fields, here\n')
        assert any("RECORD" in problem for problem in self.problems(venv))

    def test_binary_record_is_a_problem(self, venv: Venv) -> None:
        (venv.add("peft", "0.10.0") / "RECORD").write_bytes(b"\xff\xfe\x00\x01" * 50)
        assert any("RECORD" in problem for problem in self.problems(venv))

    def test_missing_record_is_a_problem(self, venv: Venv) -> None:
        (venv.add("peft", "0.10.0") / "RECORD").unlink()
        assert self.problems(venv) == ("RECORD is missing, so pip cannot remove it",)

    def test_missing_record_of_conda_is_no_problem(self, venv: Venv) -> None:
        info = venv.add("peft", "0.10.0")
        (info / "RECORD").unlink()
        (info / "INSTALLER").write_text("conda\n")
        assert self.problems(venv) == ()

    def test_lost_files_are_a_problem(self, venv: Venv) -> None:
        info = venv.add("peft", "0.10.0")
        with (info / "RECORD").open("a") as record:
            record.write("peft/gone.py,,\n")
        assert self.problems(venv) == ("1 of the 2 modules in RECORD are not on disk, e.g. peft/gone.py",)

    def test_link_to_nothing_is_a_lost_file(self, venv: Venv) -> None:
        info = venv.add("peft", "0.10.0")
        (venv.packages / "peft" / "linked.py").symlink_to(venv.packages / "gone.py")
        with (info / "RECORD").open("a") as record:
            record.write("peft/linked.py,,\ntop.py,,\n")
        (venv.packages / "top.py").write_text("")
        assert self.problems(venv) == ("1 of the 3 modules in RECORD are not on disk, e.g. peft/linked.py",)

    def test_lost_test_files_are_no_problem(self, venv: Venv) -> None:
        info = venv.add("peft", "0.10.0")
        with (info / "RECORD").open("a") as record:
            record.write("peft/tests/test_lora.py,,\n")
        assert self.problems(venv) == ()

    def test_both_copies_of_a_package_are_listed(self, venv: Venv) -> None:
        venv.add("peft", "0.10.0")
        venv.add("peft", "0.4.0")
        versions = {distribution.version for distribution in interpreter.observe(venv.python).distributions}
        assert versions == {"0.10.0", "0.4.0"}


class TestUnusableInterpreters:
    """A program that is not a usable Python causes one clear message."""

    def script(self, tmp_path: Path, text: str) -> str:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    def test_program_that_fails_is_quoted(self, tmp_path: Path) -> None:
        with pytest.raises(
            TargetError, match=r"not a usable Python 3\.8 or newer \(exit code 3\)\. It printed: no python"
        ):
            interpreter.observe(self.script(tmp_path, "echo no python >&2; exit 3"))

    def test_program_that_prints_nothing_is_reported(self, tmp_path: Path) -> None:
        with pytest.raises(TargetError, match=r"\(exit code 0\)\. It printed: nothing"):
            interpreter.observe(self.script(tmp_path, "exit 0"))

    @pytest.mark.parametrize(("version", "name"), [("2.7", "2.7"), ("3.7", "3.7")])
    def test_python_that_is_too_old_is_named(self, version: str, name: str) -> None:
        with pytest.raises(
            TargetError, match=rf"is Python {name}\. The doctor examines Python 3\.8 and newer"
        ) as raised:
            interpreter.observe(installed(version))
        assert not isinstance(raised.value, ObservationError)

    def test_file_that_is_not_executable_is_reported(self, tmp_path: Path) -> None:
        path = tmp_path / "python"
        path.write_text("x")
        with pytest.raises(TargetError, match="cannot run"):
            interpreter.observe(str(path))


def installed(version: str) -> str:
    """Return the path of an interpreter, or skip the test."""
    python = noxfile.interpreter(version)
    if not Path(python).is_file():
        pytest.skip(f"Python {version} is not installed")
    return python


class TestPythonsThatFail:
    """A Python that hangs, crashes or floods while it describes itself is a fact, and no wrong usage."""

    def failure(self, venv: Venv, sitecustomize: str, timeout: float = 20.0) -> ObservationFailure:
        (venv.packages / "sitecustomize.py").write_text(sitecustomize)
        with pytest.raises(ObservationError) as raised:
            interpreter.observe(venv.python, timeout)
        return raised.value.failure

    def test_hang_ends_at_the_time_limit(self, venv: Venv) -> None:
        failure = self.failure(
            venv, "import sys, time; print('so far', file=sys.stderr, flush=True); time.sleep(300)", 2
        )
        assert (failure.ending, failure.starts_without_site, failure.output) == ("timeout", True, ("so far",))
        assert failure.seconds < 10

    def test_hang_of_a_program_that_may_be_no_python_is_a_fact_as_well(self, tmp_path: Path) -> None:
        path = tmp_path / "python"
        path.write_text("#!/bin/sh\nexec sleep 300\n")
        path.chmod(0o755)
        with pytest.raises(ObservationError, match="gave no answer in 1 s"):
            interpreter.observe(str(path), 0.6)

    @pytest.mark.parametrize(
        ("source", "ending", "code", "signal"),
        [
            ("import os; os.kill(os.getpid(), 11)", "signal", None, "SIGSEGV"),
            ("import os; os.abort()", "signal", None, "SIGABRT"),
            ("import os; os._exit(7)", "exit", 7, None),
            ("raise SystemExit(9)", "exit", 1, None),
            ("import os; os.closerange(3, 100)", "exit", 1, None),
        ],
    )
    def test_crash_or_early_end_is_a_fact(
        self, venv: Venv, source: str, ending: str, code: int | None, signal: str | None
    ) -> None:
        failure = self.failure(venv, source)
        assert (failure.ending, failure.code, failure.signal) == (ending, code, signal)
        assert failure.starts_without_site

    def test_flood_of_events_is_stopped(self, venv: Venv) -> None:
        source = "import os, sys\nfd = int(open('/proc/self/cmdline').read().split(chr(0))[-3])\n"
        failure = self.failure(venv, f"{source}while True: os.write(fd, b'{{}}\\n' * 9999)", 30)
        assert failure.ending == "flood"

    def test_flood_of_output_ends_at_the_time_limit(self, venv: Venv) -> None:
        failure = self.failure(venv, "import os\nwhile True: os.write(1, b'x' * 65536)", 2)
        assert failure.ending == "timeout"
        assert sum(map(len, failure.output)) <= 17_000

    def test_forged_facts_are_no_facts(self, venv: Venv) -> None:
        source = "import os, sys\nfd = int(open('/proc/self/cmdline').read().split(chr(0))[-3])\n"
        event = '{"event": "facts", "secret": "", "interpreter": {}}'
        failure = self.failure(venv, f"{source}os.write(fd, b'{event}\\n'); os._exit(0)")
        assert (failure.ending, failure.code) == ("exit", 0)

    def test_facts_with_missing_fields_are_a_fact(self, venv: Venv) -> None:
        assert self.failure(venv, "import platform; platform.python_version = lambda: None").ending == "unreadable"

    def test_python_that_cannot_start_at_all_is_a_fact(self, venv: Venv, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONHOME", "/nowhere")
        with pytest.raises(ObservationError) as raised:
            interpreter.observe(venv.python)
        assert raised.value.failure.ending == "exit"

    def test_gathered_facts_hold_the_failure_and_nothing_else_of_the_target(self, venv: Venv, tmp_path: Path) -> None:
        (venv.packages / "sitecustomize.py").write_text("import os; os._exit(7)")
        environment = gather(TargetChoice(python=venv.python), tmp_path, 20.0)
        assert environment.failure is not None
        assert (environment.distributions, environment.modules) == ((), ())
        assert environment.interpreter.prefix == str(venv.root)
        assert not environment.is_unchosen


def test_a_finder_with_distributions_of_its_own_is_asked_as_well(tmp_path: Path) -> None:
    """An editable installation, or an archive on the path, is seen by ``importlib.metadata`` alone."""
    egg = tmp_path / "legacy-1.0-py3.11.egg" / "EGG-INFO"
    egg.mkdir(parents=True)
    (egg / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: legacy\nVersion: 1.0\n", encoding="utf-8")
    facts = _described(tmp_path, egg.parent)
    assert "legacy" in {entry["name"] for entry in facts}


def test_headers_that_go_on_in_the_next_line_and_records_with_quotes_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "site" / "odd-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: odd\nSummary: one\n two\nVersion: 1.0\nRequires-Dist: torch\n\nVersion: 9\n",
        encoding="utf-8",
    )
    (folder / "RECORD").write_text('"odd/a,b.py",,\nodd/__init__.py,sha256=x,10\n', encoding="utf-8")
    (entry,) = (each for each in _described(tmp_path, folder.parent) if each["name"] == "odd")
    assert (entry["version"], entry["requires"], entry["problems"]) == ("1.0", ["torch"], [])
    (folder / "RECORD").write_bytes(b"odd/__init__.py,sha256=x,10\r\n\r\nodd/b.py,,\r\n")
    (entry,) = (each for each in _described(tmp_path, folder.parent) if each["name"] == "odd")
    assert entry["problems"] == []
    for line in ("no commas at all", "a,b,c,d,e,f", "a\0b,,", "a,,\n\nno commas", "a,,\nb"):
        (folder / "RECORD").write_text(f"{line}\n", encoding="utf-8")
        (entry,) = (each for each in _described(tmp_path, folder.parent) if each["name"] == "odd")
        assert entry["problems"] == ["RECORD is not a list of files"], line


def _described(tmp_path: Path, path: Path) -> list[dict[str, Any]]:
    """Return the distributions that the script of the target describes with ``path`` on its path."""
    script = Path(interpreter.__file__).parents[1] / "target" / "describe_environment.py"
    secret = tmp_path / "secret"
    secret.write_text("s", encoding="ascii")
    with secret.open("rb") as file:
        command = [sys.executable, "-B", str(script), "1", str(file.fileno())]
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": str(path)},
            pass_fds=[file.fileno()],
            capture_output=True,
            text=True,
            check=True,
        )
    described: list[dict[str, Any]] = json.loads(done.stdout)["distributions"]
    return described
