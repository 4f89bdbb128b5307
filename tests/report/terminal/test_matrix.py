"""How the matrix is told."""

from __future__ import annotations

from tests.facts import cell, matrix
from vc2doctor.commands.versions import Tables, VersionsAnswer
from vc2doctor.matrix.judge import Judgement, PossibleConflict, Verdict
from vc2doctor.matrix.table import Row, Table, TableCell, table
from vc2doctor.remedies.smallest import Remedy
from vc2doctor.report.formats import render
from vc2doctor.report.terminal.matrix import drawn, page


def answered(answer: VersionsAnswer) -> str:
    return render("versions", answer, "text")


def wide(columns: int) -> Table:
    entries = tuple(TableCell(kind=("trains", "fails", "unknown")[k % 3], measured=k % 4) for k in range(columns))
    ranges = tuple((f"0.{2 * k}.10", f"0.{2 * k + 1}.11") for k in range(columns))
    return Table(
        torch="2.0.0", recipe="bf16", columns=ranges, rows=(Row(first="4.28.0", last="4.57.6", entries=entries),)
    )


def test_few_columns_are_named_by_their_releases() -> None:
    told = drawn(Tables(tables=(wide(4),)), color=False)
    assert "0.0.10" in told
    assert "0.7.11" in told
    assert "peft: A" not in told
    assert "4.28.0 to 4.57.6" in told


def test_many_columns_are_named_by_letters_and_still_fit() -> None:
    told = drawn(Tables(tables=(wide(16),)), color=False)
    assert max(map(len, told.splitlines())) <= 100
    assert "peft: A 0.0.10 to 0.1.11, B " in told
    assert "…" not in told


def test_colours_are_for_terminals_only() -> None:
    assert "\x1b[" in drawn(Tables(tables=(wide(3),)), color=True)
    assert "\x1b[" not in drawn(Tables(tables=(wide(3),)), color=False)


def test_a_page_holds_every_table() -> None:
    text = page(Tables(tables=(wide(2), wide(3).model_copy(update={"torch": "1.13.1"}))))
    assert text.count("transformers (rows) with peft (columns)") == 2
    assert "<script" not in text


def test_a_table_compresses_to_ranges_that_behave_alike() -> None:
    failure = {
        "type": "ImportError",
        "message": "no",
        "package": "peft",
        "missing": {"module": "transformers", "symbol": "X"},
    }
    fails = {"recipes": {}, "adapter": "not reached", "import_failure": failure}
    lines = [cell("2.0.0", f"4.{minor}.0", "0.1.0") for minor in range(3)]
    lines += [cell("2.0.0", f"4.{minor}.0", "0.1.0", **fails) for minor in (3, 4)]
    found = table(matrix(*lines), "2.0.0", "bf16")
    assert [(row.first, row.last) for row in found.rows] == [("4.3.0", "4.4.0"), ("4.0.0", "4.2.0")]
    assert [(row.entries[0].kind, row.entries[0].measured) for row in found.rows] == [("fails", 2), ("trains", 3)]
    assert found.columns == (("0.1.0", "0.1.0"),)


def test_an_explanation_leads_with_the_verdict() -> None:
    told = answered(
        VersionsAnswer(
            combination={"torch": "2.0.0"},
            recipe="bf16",
            judgement=Judgement(verdict=Verdict.COMPATIBLE, reason="a ground; more", conditions=("a condition",)),
            possible_conflicts=(PossibleConflict(missing={"numpy": ">=2"}, reason="a reason"),),
            nearest_cells=("a cell: trains",),
            remedies=(Remedy(requirements=("peft==0.13.2", "numpy<2"), reason="cell x"),),
        )
    )
    assert told.splitlines()[:2] == ["compatible: a ground", "  more"]
    assert "pip install peft==0.13.2 'numpy<2'  (cell x)" in told
    assert all(text in told for text in ("  a condition", "  numpy: >=2", "  a cell: trains"))


def test_nothing_more_to_say_is_one_line() -> None:
    judgement = Judgement(verdict=Verdict.VERIFIED, reason="a ground")
    bare = VersionsAnswer(
        combination={}, recipe="bf16", judgement=judgement, possible_conflicts=(), nearest_cells=(), remedies=()
    )
    assert answered(bare) == "verified: a ground\n"
