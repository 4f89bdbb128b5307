"""Cells as they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.facts import cell
from vc2doctor.curate.grid import measure
from vc2doctor.curate.grid.cells import AskedError, key_of, parse, read
from vc2doctor.target.shared.protocol import WORKER_VERSION

LINE = "python=3.11 torch=2.13.0 transformers=4.40.1 peft=0.10.0"


def test_a_line() -> None:
    found = parse(f"{LINE} numpy<2 accelerate==0.30.0")
    assert found.requirements == (
        *("torch==2.13.0", "transformers==4.40.1", "peft==0.10.0"),
        *("numpy<2", "accelerate==0.30.0"),
    )


@pytest.mark.parametrize("text", ["", "torch=2.13.0", f"{LINE} =", LINE.replace("3.11", "eleven")])
def test_what_is_no_cell(text: str) -> None:
    with pytest.raises(AskedError, match="is not a cell such as"):
        parse(text)


def test_a_file_with_remarks(tmp_path: Path) -> None:
    path = tmp_path / "a.cells"
    path.write_text(f"# planned\n{LINE}  # 12 combinations\n\n")
    assert read(path) == [parse(LINE)]


def test_a_wrong_line_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.cells"
    path.write_text(f"{LINE}\ntorch\n")
    with pytest.raises(AskedError, match=r"a\.cells:2: "):
        read(path)


def test_local_parts_of_versions_do_not_make_another_cell() -> None:
    line = cell("2.13.0+cpu", "4.40.1", "0.10.0")
    assert key_of(line) == parse(LINE).key


def test_what_was_measured_is_not_measured_again() -> None:
    line = cell("2.13.0+cpu", "4.40.1", "0.10.0", worker=WORKER_VERSION)
    other = parse(LINE.replace("0.10.0", "0.11.0"))
    assert measure.outstanding([parse(LINE), other, other], [line]) == [other]
    assert measure.outstanding([parse(f"{LINE} numpy<2")], [line]) == [parse(f"{LINE} numpy<2")]


def test_an_older_worker_does_not_count() -> None:
    line = cell("2.13.0+cpu", "4.40.1", "0.10.0", worker="1")
    assert measure.outstanding([parse(LINE)], [line]) == [parse(LINE)]


def test_cells_of_one_torch_stand_together() -> None:
    lines = [LINE.replace("2.13.0", "2.4.1"), LINE, LINE.replace("2.13.0", "2.4.1").replace("0.10.0", "0.9.0")]
    assert [one.cell.torch for one in measure.outstanding(map(parse, lines), [])] == ["2.13.0", "2.4.1", "2.4.1"]
