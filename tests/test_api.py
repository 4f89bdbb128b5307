"""The API for Python: its names and parameters, its errors, and that an import does nothing."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import vc2doctor
from tests.conftest import Venv
from tests.project import CLIPS_SCALED
from vc2doctor import api

INFERRED = {"torch": "2.13.0", "transformers": "4.40.2", "peft": "0.10.0"}


def test_names_and_parameters_are_stable() -> None:
    """Whoever changes this test changes the code of others: write it into CHANGELOG.md."""
    assert api.__all__ == [
        "ArgumentError",
        "CheckOptions",
        "CodeOptions",
        "DoctorError",
        "Finding",
        "LintReport",
        "PolicyEntry",
        "Report",
        "Severity",
        "VersionsAnswer",
        "check",
        "check_code",
        "judge",
        "show",
    ]
    parameters = {
        function.__name__: list(inspect.signature(function).parameters)
        for function in (api.check, api.judge, api.check_code, api.show)
    }
    assert parameters == {
        "check": ["folder", "on_progress", "options"],
        "judge": ["versions", "precision", "doors", "model_types", "matrix"],
        "check_code": ["path", "options"],
        "show": ["report"],
    }
    assert sorted(get_type_hints(api.CheckOptions)) == [
        *("accept", "baseline", "code", "device", "doors", "fail_on", "learning_rate", "matrix", "policy"),
        *("precision", "probe", "profile", "python", "require_gpu", "stack_map", "timeout"),
    ]
    assert sorted(get_type_hints(api.CodeOptions)) == ["baseline", "fail_on", "ignore", "select"]
    assert (Path(vc2doctor.__file__).parent / "py.typed").exists()


IMPORT = """
import os, signal, sys, threading
import pydantic, pynvml, yaml
seen = []
def hook(event, arguments):
    is_written = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if is_written or event.startswith(("subprocess", "os.fork", "os.posix_spawn", "os.exec", "socket", "os.mkdir",
        "os.remove", "os.rename", "os.chdir", "os.putenv", "os.unsetenv", "signal", "tempfile", "shutil")):
        seen.append((event, str(arguments)[:200]))
before = (dict(os.environ), os.getcwd(), [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)], sys.path[:])
sys.dont_write_bytecode = True
sys.addaudithook(hook)
from vc2doctor import api
after = (dict(os.environ), os.getcwd(), [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)], sys.path[:])
assert seen == [], seen
assert before == after
assert threading.active_count() == 1
assert not {"torch", "transformers", "peft", "libcst", "click"} & set(sys.modules), "an import that is not needed"
"""


def test_import_has_no_side_effects() -> None:
    process = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert (process.stdout, process.stderr) == ("", "")


class TestCheck:
    """``check``, in a real environment."""

    def test_report_is_returned_and_nothing_is_printed(self, venv: Venv, capfd: pytest.CaptureFixture[str]) -> None:
        venv.add_stack()
        steps: list[str] = []
        report = api.check(python=venv.root, probe=False, accept="inferred", on_progress=steps.append)
        assert (report.verdict, report.exit_code) == ("fit", 0)
        assert steps == ["reading what is installed"]
        assert capfd.readouterr() == ("", "")

    def test_without_a_probe_nothing_is_proven(self, venv: Venv) -> None:
        venv.add_stack()
        assert api.check(python=venv.python, probe=False).verdict == "unproven"

    def test_code_and_policy_decide_as_on_the_command_line(self, venv: Venv, tmp_path: Path) -> None:
        venv.add_stack()
        code = tmp_path / "train.py"
        code.write_text(CLIPS_SCALED, encoding="utf-8")
        options: api.CheckOptions = {"python": venv.python, "code": code, "probe": False}
        report = api.check(**options)
        assert "VC105" in {finding.id for finding in report.findings}
        silenced = {"severity": "off", "reason": "known", "expires": "2099-01-01"}
        options["policy"] = {"VC105": silenced}
        report = api.check(**options)
        assert "VC105" not in {finding.id for finding in report.findings}
        assert [each.id for each in report.waived] == ["VC105"]

    def test_settings_and_cache_of_the_user_do_not_count(
        self, venv: Venv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        venv.add_stack()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        (tmp_path / "pyproject.toml").write_text('[tool.vc2doctor]\nprecision = "fp16"\n', encoding="utf-8")
        for _ in range(2):
            report = api.check(python=venv.python, probe=False, folder=tmp_path)
            assert report.plan.precision == "bf16"
            assert report.kept is None
        assert not (tmp_path / "cache").exists()

    def test_check_runs_in_a_thread(self, venv: Venv) -> None:
        venv.add_stack()
        verdicts: list[str] = []
        thread = threading.Thread(
            target=lambda: verdicts.append(api.check(python=venv.python, probe=False, accept="inferred").verdict)
        )
        thread.start()
        thread.join()
        assert verdicts == ["fit"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"precision": "fp7"}, "precision: .*'fp7'"),
            ({"doors": ["nosuch"]}, "nosuch"),
            ({"timeout": -1}, "timeout: .*greater than 0, not -1"),
            ({"fail_on": "fatal"}, "fail_on: "),
            ({"accept": "everything"}, "accept: "),
            ({"policy": {"VC105": {"severity": "off"}}}, r"policy\.VC105"),
            ({"nosuch": 1}, "nosuch: "),
        ],
    )
    def test_wrong_arguments_are_named(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(api.ArgumentError, match=message) as caught:
            api.check(**options)
        assert isinstance(caught.value, api.DoctorError)
        assert isinstance(caught.value, ValueError)

    def test_interpreter_that_does_not_exist_is_an_error(self) -> None:
        with pytest.raises(api.DoctorError, match="there is no such interpreter"):
            api.check(python="/nosuch/python")


class TestJudge:
    """``judge``: versions that need not be installed."""

    def test_versions_are_judged(self) -> None:
        answer = api.judge(INFERRED)
        assert answer.judgement.verdict.value == "compatible"
        assert answer.exit_code == 0

    def test_doors_and_precision_count(self) -> None:
        answer = api.judge(INFERRED, precision="fp16", doors=["loop"], model_types=["llama"])
        assert (answer.recipe, answer.doors, answer.model_types) == ("fp16-scaled", ("loop",), ("llama",))

    @pytest.mark.parametrize("options", [{"precision": "fp7"}, {"doors": ["nosuch"]}])
    def test_wrong_arguments_are_named(self, options: dict[str, Any]) -> None:
        with pytest.raises(api.ArgumentError, match="is not one of"):
            api.judge(INFERRED, **options)

    def test_misspelled_package_is_an_error(self) -> None:
        with pytest.raises(api.DoctorError, match="transfomers"):
            api.judge({"torch": "2.5.1", "transfomers": "4.57.3"})


class TestCheckCode:
    """``check_code``: files that are read and not changed."""

    @pytest.mark.parametrize("several", [False, True])
    def test_findings_are_returned(self, several: bool, tmp_path: Path) -> None:
        file = tmp_path / "train.py"
        file.write_text(CLIPS_SCALED, encoding="utf-8")
        report = api.check_code([file] if several else str(file))
        assert "VC105" in {finding.id for finding in report.findings}
        assert report.exit_code == 1
        assert file.read_text(encoding="utf-8") == CLIPS_SCALED

    def test_rules_are_selected_and_settings_do_not_count(self, tmp_path: Path) -> None:
        (tmp_path / "train.py").write_text(CLIPS_SCALED, encoding="utf-8")
        (tmp_path / "pyproject.toml").write_text('[tool.vc2doctor.lint]\nignore = ["VC1"]\n', encoding="utf-8")
        assert api.check_code(tmp_path).exit_code == 1
        assert api.check_code(tmp_path, ignore=["VC105"]).exit_code == 0
        assert {each.id for each in api.check_code(tmp_path, select=["VC105"]).findings} == {"VC105"}

    def test_wrong_arguments_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(api.ArgumentError, match="name at least one"):
            api.check_code([])
        with pytest.raises(api.ArgumentError, match="fail_on: "):
            api.check_code(tmp_path, fail_on="fatal")  # type: ignore[arg-type]
        with pytest.raises(api.DoctorError, match="there is no such file"):
            api.check_code(tmp_path / "nosuch.py")
        with pytest.raises(api.DoctorError, match="there is no rule"):
            api.check_code(tmp_path, select=["VC9"])


def test_examples_of_the_documentation_run(venv: Venv, tmp_path: Path) -> None:
    """The blocks of docs/api.md are run one after the other, in a folder with an environment and with code."""
    page = (Path(vc2doctor.__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in page.split("```python\n")[1:]]
    assert len(blocks) >= 4
    venv.add_stack()
    (tmp_path / ".venv").symlink_to(venv.root)
    (tmp_path / "train.py").write_text(CLIPS_SCALED, encoding="utf-8")
    source = "\n".join(blocks)
    environment = {**os.environ, "PYTHONPATH": str(Path(vc2doctor.__file__).parents[1]), "CUDA_VISIBLE_DEVICES": "-1"}
    process = subprocess.run(
        [sys.executable, "-c", source], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
