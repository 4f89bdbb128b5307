"""Closed, full and missing standard streams are ordinary: real processes with real pipes and devices."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

FAULTY = """import torch
with torch.autocast("cuda", dtype=torch.float16):
    loss = model(x)
loss.backward()
optimizer.step()
"""


@pytest.fixture
def default_interrupt() -> Iterator[None]:
    """Let children be ended by SIGINT: a shell starts background jobs, and this test with them, with SIGINT ignored."""
    handler_before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler_before)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a folder with training code that has an error."""
    (tmp_path / "train.py").write_text(FAULTY)
    return tmp_path


def run(shell: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of bash in which ``$D`` is the doctor."""
    environment = {**os.environ, "D": f"{sys.executable} -m vc2doctor", **variables}
    return subprocess.run(
        ["/bin/bash", "-c", shell], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("form", ["text", "json"])
def test_closed_pipe_ends_quietly_and_the_exit_code_is_that_of_the_verdict(code: Path, form: str) -> None:
    ran = run(f"$D lint . --format {form} | true; echo ${{PIPESTATUS[0]}}", code)
    assert (ran.stdout, ran.stderr) == ("1\n", "")
    ran = run(f"rm train.py; echo 'x = 1' > a.py; $D lint . --format {form} | true; echo ${{PIPESTATUS[0]}}", code)
    assert (ran.stdout, ran.stderr) == ("0\n", "")


@pytest.mark.parametrize("arguments", ["--help", "--version", "explain VC005", "schema lint"])
def test_closed_pipe_is_no_finding(code: Path, arguments: str) -> None:
    ran = run(f"$D {arguments} | true; echo ${{PIPESTATUS[0]}}", code)
    assert (ran.stdout, ran.stderr) == ("0\n", "")


@pytest.mark.parametrize("redirections", ["2>&-", ">&-", "<&- >&- 2>&-", "2>/dev/full", "</dev/null >/dev/null"])
def test_missing_streams_and_full_stderr_do_not_change_the_exit_code(code: Path, redirections: str) -> None:
    assert run(f"$D lint . {redirections}", code).returncode == 1


@pytest.mark.parametrize("arguments", ["lint .", "lint . --format json", "--help", "--version", "explain VC005"])
def test_full_standard_output_is_one_message_and_ends_with_2(code: Path, arguments: str) -> None:
    ran = run(f"$D {arguments} >/dev/full", code)
    assert (ran.returncode, ran.stderr) == (
        2,
        "vc2doctor: standard output cannot be written: No space left on device\n",
    )


def test_missing_stream_is_not_replaced_by_a_file_of_the_doctor(code: Path) -> None:
    ran = run("exec 1>&- 2>&-; $D lint . --output report.txt; echo $? > code", code)
    assert (code / "code").read_text() == "1\n"
    assert "vc2doctor:" not in (code / "report.txt").read_text()
    assert ran.stdout == ""


def test_stream_that_another_program_made_non_blocking_gets_the_whole_report() -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
    with subprocess.Popen([sys.executable, "-m", "vc2doctor", "schema", "report"], stdout=writer) as process:
        os.close(writer)
        # The pipe is full before the first byte is read.
        time.sleep(3)
        with os.fdopen(reader, "rb") as file:
            text = file.read()
    assert process.returncode == 0
    assert text.endswith(b"}\n")
    assert len(text) > 32768


def test_terminal_that_shows_ascii_only_gets_question_marks(code: Path) -> None:
    ran = run("mv train.py é.py; $D lint .", code, PYTHONIOENCODING="ascii")
    assert ran.returncode == 1
    assert "?.py:4" in ran.stdout


@pytest.mark.usefixtures("default_interrupt")
def test_interrupt_that_compiled_code_turns_into_an_error_is_an_interrupt(code: Path) -> None:
    source = """
import os, signal
from vc2doctor.cli import main

def cli(**_):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt as error:
        raise RuntimeError("a validator could not be built") from error

main.cli = cli
main.main()
"""
    ran = subprocess.run([sys.executable, "-c", source], cwd=code, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (3, "vc2doctor: interrupted\n")


@pytest.mark.usefixtures("default_interrupt")
@pytest.mark.parametrize("moment", [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2])
def test_interrupt_at_any_moment_ends_with_one_line(code: Path, moment: float) -> None:
    # Of Python's own start the doctor knows nothing, so the first moment is that of its first line.
    source = f"import os, sys, time\nos.write(1, b'x')\nsys.argv[1:] = ['lint', {str(code)!r}]\n"
    source += "from vc2doctor.__main__ import main\nos.write(1, b'y')\nmain()\n"
    with subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=code
    ) as process:
        assert process.stdout is not None
        while process.stdout.read(1) not in (b"y", b""):
            pass
        time.sleep(moment)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    # It may have been finished already.
    assert (process.returncode, errors) in [(3, b"vc2doctor: interrupted\n"), (1, b"")]
