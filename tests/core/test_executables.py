"""Whether files can be executed: real files, and a process that may read everything by a capability."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.scene import WITHOUT_PRIVILEGES
from vc2doctor.core.executables import is_executable


def test_the_mode_of_a_file_decides(tmp_path: Path) -> None:
    program = tmp_path / "program"
    assert not is_executable(program)
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o644)
    assert not is_executable(program)
    program.chmod(0o755)
    assert is_executable(str(program))


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="it needs root and setpriv")
def test_a_file_below_a_closed_folder_is_executable_where_exec_finds_it(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    program = closed / "program"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    source = "import sys; from vc2doctor.core.executables import is_executable; print(is_executable(sys.argv[1]))"
    unprivileged = WITHOUT_PRIVILEGES.split()
    words = [*unprivileged, sys.executable, "-c", source, str(program)]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    assert answer.stdout == "True\n", answer.stderr
    assert subprocess.run([*unprivileged, str(program)], check=False).returncode == 0
