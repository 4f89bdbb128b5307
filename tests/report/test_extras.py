"""A format whose packages are missing: the message comes before the examination, and its command works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import noxfile
from tests.conftest import Venv
from vc2doctor.report.extras import installation

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("tool", "has_pip", "advice"),
    [
        (None, True, "Run: /env/bin/python -m pip install 'jinja2>=3.1'"),
        (None, False, "Run: uv pip install --python /env/bin/python 'jinja2>=3.1'"),
        ("uv tool", False, "Run: uv pip install --python /env/bin/python 'jinja2>=3.1'"),
        ("pipx", True, "Run: pipx inject vc2doctor 'jinja2>=3.1'"),
        ("uvx", False, "Put this behind `uvx`: --with 'jinja2>=3.1'"),
        ("pipx run", True, "Put this behind `pipx run`: --with 'jinja2>=3.1'"),
    ],
)
def test_advice_fits_the_tool_that_installed_the_doctor(tool: str | None, has_pip: bool, advice: str) -> None:
    assert installation(["jinja2>=3.1"], tool, "/env/bin/python", has_pip=has_pip) == advice


def test_page_without_its_packages_ends_with_2_before_the_probe_and_the_printed_command_helps(
    stack_of: Callable[..., Path], venv: Venv, tmp_path: Path
) -> None:
    sign = tmp_path / "sign"
    venv.add_stack(torch=f"open({str(sign)!r}, 'w')")
    environment = stack_of(*noxfile._PROJECT["project"]["dependencies"])
    words = [
        "-m",
        "vc2doctor",
        "check",
        "--no-probe",
        "--accept",
        "inferred",
        "--python",
        venv.python,
        "--output",
        "report.html",
    ]
    # uv of this environment is on the path, as for a user who installed the doctor with it.
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)

    python = str(environment / "bin" / "python")
    with_probe = run(python, *(word for word in words if word not in {"--no-probe", "--accept", "inferred"}))
    assert (with_probe.returncode, with_probe.stdout) == (2, "")
    message = re.search(r"the format html needs (\S+), the extra vc2doctor\[html\]\. Run: (.+)", with_probe.stderr)
    assert message is not None, with_probe.stderr
    assert not sign.exists(), "the probe did not run"
    install = shlex.split(message[2])
    assert run(*install).returncode == 0
    second = run(python, *words)
    assert second.returncode == 0, second.stderr
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
