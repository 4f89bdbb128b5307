"""The command on targets that hang, crash or flood in each phase, and under the signals that end it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ON_PAPER
from tests.processes import MARK, default_signals, expect_nothing_left, marked, needs_proc, new_mark, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Ran, Venv

    Doctor = Callable[..., Ran]

HANG = "import time; time.sleep(300)"


@pytest.mark.parametrize(
    ("sitecustomize", "words"),
    [
        (HANG, "it gave no answer in 2 s"),
        ("import os; os.kill(os.getpid(), 11)", "it was killed by SIGSEGV"),
        ("import os\nwhile True: os.write(2, b'x' * 65536)", "it gave no answer in"),
    ],
)
def test_python_that_fails_at_its_start_is_a_finding_and_exit_code_3(
    venv: Venv, doctor: Doctor, sitecustomize: str, words: str
) -> None:
    venv.add_stack()
    (venv.packages / "sitecustomize.py").write_text(sitecustomize)
    ran = doctor("check", "--python", venv.python, "--timeout", "2", "--format", "json")
    assert ran.code == 3, ran.err
    report = json.loads(ran.out)
    (finding,) = [each for each in report["findings"] if each["severity"] == "error"]
    assert finding["id"] == "VC024"
    assert words in finding["message"]
    assert (report["verdict"], report["probe"], report["version_plan"]) == ("incomplete", None, None)


def test_report_on_a_python_that_crashes_does_not_call_packages_missing(venv: Venv, doctor: Doctor) -> None:
    venv.add_stack()
    (venv.packages / "sitecustomize.py").write_text("import os; os.abort()")
    text = doctor("check", "--python", venv.python)
    assert text.code == 3
    assert "The examination could not be finished." in text.out
    assert "(missing)" not in text.out
    assert "Traceback" not in text.err


@pytest.mark.parametrize("verb", [("check",), ("probe", "--model", ".")])
def test_time_limit_holds_for_every_verb_and_phase(venv: Venv, doctor: Doctor, tmp_path: Path, verb: list[str]) -> None:
    venv.add_stack(torch=HANG)
    start_time = time.monotonic()
    ran = doctor(*verb, "--python", venv.python, "--timeout", "2", cwd=tmp_path)
    assert ran.code == 3, ran.err
    assert "it reached its time limit after" in ran.out
    assert time.monotonic() - start_time < 40


def test_time_limit_holds_for_the_build_of_verify_remedy(venv: Venv, doctor: Doctor, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    installer = tools / "uv"
    installer.write_text("#!/bin/sh\nmktemp -d >/dev/null\nsetsid sleep 300 &\nexec sleep 300\n")
    installer.chmod(0o755)
    venv.add("torch", "2.13.0+cpu")
    venv.add("transformers", "4.40.1")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    mark = new_mark()
    variables = {"PATH": f"{tools}:{os.environ['PATH']}", "TMPDIR": str(temporary), MARK: mark}
    options = ("check", *ON_PAPER, "--python", venv.python, "--verify-remedy", "--timeout", "5", "--format", "json")
    ran = doctor(*options, **variables)
    trial = json.loads(ran.out)["remedy_trial"]
    assert trial["outcome"] == "not built"
    assert "no end after 5 s; allow more time with --timeout" in trial["errors"][0]
    expect_nothing_left(mark, temporary)


def start(venv: Venv, temporary: Path, mark: str) -> subprocess.Popen[bytes]:
    with default_signals():
        return subprocess.Popen(
            [sys.executable, "-m", "vc2doctor", "check", "--python", venv.python],
            env={**os.environ, "TMPDIR": str(temporary), MARK: mark},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL])
@pytest.mark.parametrize("phase", ["facts", "probe"])
def test_signal_leaves_no_process_and_no_file(venv: Venv, tmp_path: Path, number: int, phase: str) -> None:
    started = tmp_path / "started"
    source = f"import os, time\nif not os.fork(): os.setsid()\nopen({str(started)!r}, 'a').close()\ntime.sleep(300)"
    venv.add_stack(torch=source if phase == "probe" else "")
    if phase == "facts":
        (venv.packages / "sitecustomize.py").write_text(source)
    temporary, mark = tmp_path / "temporary", new_mark()
    temporary.mkdir()
    process = start(venv, temporary, mark)
    wait_until(started.exists, lambda: marked(mark))
    process.send_signal(number)
    assert process.wait() == -number
    expect_nothing_left(mark, temporary)


def test_no_temporary_folder_is_one_message(venv: Venv) -> None:
    venv.add_stack()
    source = "import sys, tempfile\ntempfile.tempdir = '/nowhere'\nfrom vc2doctor.cli.main import main\nmain()"
    process = subprocess.run(
        [sys.executable, "-c", source, "check", "--python", venv.python], capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert "no temporary folder can be made" in process.stderr
    assert "Traceback" not in process.stderr


def test_full_disk_is_one_message(venv: Venv) -> None:
    venv.add_stack()
    # A limit of 0 bytes a file fails in the same way as a full disk does.
    source = (
        "import resource, tempfile\ntempfile.gettempdir()\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "from vc2doctor.cli.main import main\nmain()"
    )
    process = subprocess.run(
        [sys.executable, "-B", "-c", source, "check", "--python", venv.python],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert "spec.json: cannot be written: File too large. Set TMPDIR" in process.stderr
    assert "Traceback" not in process.stderr


@needs_proc
def test_second_interrupt_leaves_nothing_either(venv: Venv, tmp_path: Path) -> None:
    started, temporary, mark = tmp_path / "started", tmp_path / "temporary", new_mark()
    temporary.mkdir()
    venv.add_stack(torch=f"import time\nopen({str(started)!r}, 'w').close()\ntime.sleep(300)")
    process = start(venv, temporary, mark)
    wait_until(started.exists, lambda: marked(mark))
    for _ in range(4):
        process.send_signal(signal.SIGINT)
        time.sleep(0.03)
    process.wait()
    expect_nothing_left(mark, temporary)


def test_measurement_of_a_python_that_hangs_is_unfinished(venv: Venv, doctor: Doctor) -> None:
    venv.add_stack()
    (venv.packages / "sitecustomize.py").write_text(HANG)
    ran = doctor("measure", "--python", venv.python, "--name", "a-cell", "--timeout", "2")
    assert (ran.code, ran.out) == (3, "")
    assert "did not describe its environment: it gave no answer in 2 s" in ran.err
