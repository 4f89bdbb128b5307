"""Merging evidence from other machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.facts import cell
from vc2doctor.curate import run
from vc2doctor.matrix.errors import MatrixError
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.load import evidence_lines


def write(path: Path, *lines: EvidenceLine) -> Path:
    path.write_text("".join(f"{line.model_dump_json(by_alias=True, exclude_none=True)}\n" for line in lines))
    return path


def test_new_lines_are_added_and_duplicates_are_not(tmp_path: Path) -> None:
    ours = write(tmp_path / "grid.jsonl", cell("2.0.0", "4.0.0", "0.1.0"))
    (tmp_path / "other").mkdir()
    theirs = write(
        tmp_path / "other" / "a.jsonl",
        cell("2.0.0", "4.0.0", "0.1.0", date="2026-12-01", seconds=3.0),
        cell("2.0.0", "4.0.0", "0.2.0"),
        cell("2.0.0", "4.0.0", "0.2.0"),
    )
    result = run.merge_files([theirs], ours)
    assert (len(result.added), result.duplicates, result.contradictions) == (1, 2, [])
    assert [line.cell.peft for line in evidence_lines(ours)] == ["0.1.0", "0.2.0"]


def test_a_contradiction_is_shown_with_both_places_and_not_added(tmp_path: Path) -> None:
    ours = write(tmp_path / "grid.jsonl", cell("2.0.0", "4.0.0", "0.1.0"))
    (tmp_path / "other").mkdir()
    contradicting = cell("2.0.0", "4.0.0", "0.1.0", recipes={"fp32": "finite", "bf16": "poisoned"})
    theirs = write(tmp_path / "other" / "a.jsonl", contradicting)
    before = ours.read_text()
    result = run.merge_files([theirs], ours)
    assert ours.read_text() == before
    (contradiction,) = result.contradictions
    assert "bf16 finite or poisoned" in contradiction.description
    assert f"compare {ours}:1 with {theirs}:1" in contradiction.description


def test_another_device_is_another_measurement(tmp_path: Path) -> None:
    ours = write(tmp_path / "grid.jsonl", cell("2.0.0", "4.0.0", "0.1.0"))
    (tmp_path / "other").mkdir()
    theirs = write(tmp_path / "other" / "a.jsonl", cell("2.0.0", "4.0.0", "0.1.0", device="NVIDIA H200"))
    assert len(run.merge_files([theirs], ours).added) == 1


def test_an_invalid_line_is_refused_with_its_place_and_nothing_is_written(tmp_path: Path) -> None:
    ours = write(tmp_path / "grid.jsonl", cell("2.0.0", "4.0.0", "0.1.0"))
    (tmp_path / "other").mkdir()
    theirs = write(tmp_path / "other" / "a.jsonl", cell("2.0.0", "4.0.0", "0.2.0"))
    theirs.write_text(theirs.read_text() + '{"schema": 1}\n')
    before = ours.read_text()
    with pytest.raises(MatrixError, match=r"a\.jsonl:2: "):
        run.merge_files([theirs], ours)
    assert ours.read_text() == before
