"""Specifications of cells, and which of them are still to be measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.facts import cell
from vc2doctor.curate.grid import measure
from vc2doctor.curate.grid.cells import CellSpecError, key_of, parse, read
from vc2doctor.target.shared.protocol import WORKER_VERSION

LINE = "python=3.11 torch=2.13.0 transformers=4.40.1 peft=0.10.0"


def test_a_line_specifies_a_cell_and_further_requirements() -> None:
    spec = parse(f"{LINE} numpy<2 accelerate==0.30.0")
    assert spec.requirements == (
        *("torch==2.13.0", "transformers==4.40.1", "peft==0.10.0"),
        *("numpy<2", "accelerate==0.30.0"),
    )


@pytest.mark.parametrize("text", ["", "torch=2.13.0", f"{LINE} =", LINE.replace("3.11", "eleven")])
def test_a_text_that_is_not_a_cell_is_an_error(text: str) -> None:
    with pytest.raises(CellSpecError, match="is not a cell such as"):
        parse(text)


def test_a_file_may_hold_comments(tmp_path: Path) -> None:
    path = tmp_path / "a.cells"
    path.write_text(f"# planned\n{LINE}  # 12 combinations\n\n")
    assert read(path) == [parse(LINE)]


def test_an_error_in_a_file_gives_the_line_number(tmp_path: Path) -> None:
    path = tmp_path / "a.cells"
    path.write_text(f"{LINE}\ntorch\n")
    with pytest.raises(CellSpecError, match=r"a\.cells:2: "):
        read(path)


def test_local_parts_of_versions_do_not_make_another_cell() -> None:
    line = cell("2.13.0+cpu", "4.40.1", "0.10.0")
    assert key_of(line) == parse(LINE).key


def test_a_measured_cell_is_not_outstanding() -> None:
    line = cell("2.13.0+cpu", "4.40.1", "0.10.0", worker=WORKER_VERSION)
    new = parse(LINE.replace("0.10.0", "0.11.0"))
    assert measure.outstanding([parse(LINE), new, new], [line]) == [new]
    assert measure.outstanding([parse(f"{LINE} numpy<2")], [line]) == [parse(f"{LINE} numpy<2")]


def test_a_cell_measured_by_an_older_worker_is_outstanding() -> None:
    line = cell("2.13.0+cpu", "4.40.1", "0.10.0", worker="1")
    assert measure.outstanding([parse(LINE)], [line]) == [parse(LINE)]


def test_outstanding_cells_are_grouped_by_torch() -> None:
    lines = [LINE.replace("2.13.0", "2.4.1"), LINE, LINE.replace("2.13.0", "2.4.1").replace("0.10.0", "0.9.0")]
    assert [spec.cell.torch for spec in measure.outstanding(map(parse, lines), [])] == ["2.13.0", "2.4.1", "2.4.1"]


def test_the_pinned_versions_are_those_asked_for_exactly() -> None:
    spec = parse("python=3.11 torch=2.13.0+cpu transformers=4.40.1 peft=0.10.0 numpy<2 trl accelerate==0.30.0")
    assert spec.pinned == {"torch": "2.13.0", "transformers": "4.40.1", "peft": "0.10.0", "accelerate": "0.30.0"}
