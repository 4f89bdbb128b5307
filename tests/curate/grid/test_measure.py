"""Real measurements: two corner cells of the matrix, and one that cannot be installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import noxfile
from tests.facts import EVIDENCE
from vc2doctor.curate.grid.cells import key_of, parse
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.load import evidence_lines

pytestmark = pytest.mark.stack
TRAINS = "python=3.11 torch=2.13.0 transformers=5.23.0 peft=0.21.2"
FAILS = "python=3.11 torch=2.13.0 transformers=4.36.2 peft=0.17.0"
NOT_INSTALLABLE = "python=3.11 torch=2.13.0 transformers=4.34.0 peft=0.21.2"


def measure(into: Path, *cells: str) -> tuple[list[EvidenceLine], str]:
    interpreters = json.dumps({"3.11": noxfile.interpreter("3.11")})
    command = [
        "-m",
        "vc2doctor.curate.grid",
        "measure",
        "--into",
        str(into),
        "--jobs",
        "2",
        "--interpreters",
        interpreters,
    ]
    environment = {**os.environ, **noxfile.uv_settings()}
    process = subprocess.run(
        [sys.executable, *command, *cells], env=environment, capture_output=True, text=True, check=True
    )
    return list(evidence_lines(into)), process.stderr


def test_the_grid_reproduces_corner_cells_and_skips_them_the_second_time(tmp_path: Path) -> None:
    into = tmp_path / "new.jsonl"
    lines, progress = measure(into, TRAINS, FAILS, NOT_INSTALLABLE)
    by_key = {key_of(line): line for line in lines}
    good, bad, not_installed = (by_key[parse(text).key] for text in (TRAINS, FAILS, NOT_INSTALLABLE))
    assert good.trains("bf16") is True
    assert good.adapter == "same"
    assert bad.import_failure is not None
    assert (bad.import_failure.package, bad.import_failure.missing) == ("peft", bad.import_failure.missing)
    assert bad.import_failure.missing is not None
    assert bad.import_failure.missing.symbol == "EncoderDecoderCache"
    assert not_installed.install == "unsatisfiable"
    assert "huggingface-hub" in (not_installed.install_message or "")
    assert "3/3" in progress
    # The outcomes must be those of the shipped evidence.
    for line in (good, bad):
        shipped = [other for other in EVIDENCE if key_of(other) == key_of(line)]
        assert shipped, line.name
        assert {other.trains("bf16") for other in shipped} == {line.trains("bf16")}
    again, progress = measure(into, TRAINS, FAILS, NOT_INSTALLABLE)
    assert again == lines
    assert "0 cells to measure; 3 skipped, measured before or named twice" in progress
