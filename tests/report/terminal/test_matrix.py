"""What the matrix knows, as text and as HTML."""

from __future__ import annotations

from tests.facts import cell, matrix
from vc2doctor.commands.versions import Tables, VersionsAnswer
from vc2doctor.matrix.age import MatrixAge
from vc2doctor.matrix.grouping import JoinedConflict
from vc2doctor.matrix.judge import Judgement, PossibleConflict, Verdict
from vc2doctor.matrix.table import Row, Table, TableCell, table
from vc2doctor.remedies.smallest import Remedy
from vc2doctor.report.formats import render
from vc2doctor.report.terminal.matrix import tables_as_text


def answer_text(answer: VersionsAnswer) -> str:
    return render("versions", answer, "text")


def wide(columns: int) -> Table:
    entries = tuple(TableCell(kind=("trains", "fails", "unknown")[k % 3], measured=k % 4) for k in range(columns))
    ranges = tuple((f"0.{2 * k}.10", f"0.{2 * k + 1}.11") for k in range(columns))
    return Table(
        torch="2.0.0", recipe="bf16", columns=ranges, rows=(Row(first="4.28.0", last="4.57.6", entries=entries),)
    )


def test_few_columns_have_releases_as_headers() -> None:
    text = tables_as_text(Tables(tables=(wide(4),)), color=False)
    assert "0.0.10" in text
    assert "0.7.11" in text
    assert "peft: A" not in text
    assert "4.28.0 to 4.57.6" in text


def test_many_columns_have_letters_as_headers_and_fit_100_columns() -> None:
    text = tables_as_text(Tables(tables=(wide(16),)), color=False)
    assert max(map(len, text.splitlines())) <= 100
    assert "peft: A 0.0.10 to 0.1.11, B " in text
    assert "…" not in text


def test_tables_have_color_only_if_requested() -> None:
    assert "\x1b[" in tables_as_text(Tables(tables=(wide(3),)), color=True)
    assert "\x1b[" not in tables_as_text(Tables(tables=(wide(3),)), color=False)


def test_releases_that_behave_alike_share_a_row() -> None:
    failure = {
        "type": "ImportError",
        "message": "no",
        "package": "peft",
        "missing": {"module": "transformers", "symbol": "X"},
    }
    fails = {"recipes": {}, "adapter": "not reached", "import_failure": failure}
    lines = [cell("2.0.0", f"4.{minor}.0", "0.1.0") for minor in range(3)]
    lines += [cell("2.0.0", f"4.{minor}.0", "0.1.0", **fails) for minor in (3, 4)]
    compressed = table(matrix(*lines), "2.0.0", "bf16")
    assert [(row.first, row.last) for row in compressed.rows] == [("4.3.0", "4.4.0"), ("4.0.0", "4.2.0")]
    assert [(row.entries[0].kind, row.entries[0].measured) for row in compressed.rows] == [("fails", 2), ("trains", 3)]
    assert compressed.columns == (("0.1.0", "0.1.0"),)


def test_answer_starts_with_the_verdict_and_its_reason() -> None:
    text = answer_text(
        VersionsAnswer(
            combination={"torch": "2.0.0"},
            recipe="bf16",
            judgement=Judgement(verdict=Verdict.COMPATIBLE, reason="a ground; more", conditions=("a condition",)),
            possible_conflicts=(PossibleConflict(missing={"numpy": ">=2"}, reason="a reason"),),
            joined_conflicts=(JoinedConflict(package="numpy", releases=(">=2",), reasons=("a reason",)),),
            nearest_cells=("a cell: trains",),
            remedies=(Remedy(requirements=("peft==0.13.2", "numpy<2"), reason="cell x"),),
        )
    )
    assert text.splitlines()[:5] == [
        "compatible: a ground",
        "  Smallest change:",
        "    pip install peft==0.13.2 'numpy<2'",
        "    (cell x)",
        "  more",
    ]
    assert all(part in text for part in ("  a condition", "  numpy >=2", "  a cell: trains"))


def test_what_is_not_judged_ends_the_line_of_the_verdict() -> None:
    judgement = Judgement(verdict=Verdict.COMPATIBLE, reason="a ground; more")
    named = {"nonsense": "1.0", "foo": "", "bar": ">=2", "a": "", "b": "", "c": ""}
    answer = VersionsAnswer(
        combination={},
        not_judged=named,
        recipe="bf16",
        judgement=judgement,
        possible_conflicts=(),
        nearest_cells=(),
        remedies=(),
    )
    assert answer_text(answer).splitlines()[:3] == [
        "compatible; not judged: nonsense 1.0, foo, bar>=2, a and 2 more",
        "  a ground",
        "  more",
    ]


def test_answer_without_further_information_is_the_verdict_and_the_date_of_the_matrix() -> None:
    judgement = Judgement(verdict=Verdict.VERIFIED, reason="a ground")
    answer = VersionsAnswer(
        combination={},
        recipe="bf16",
        judgement=judgement,
        matrix=MatrixAge(measured="2026-11-25", released="2026-11-26"),
        possible_conflicts=(),
        nearest_cells=(),
        remedies=(),
    )
    assert answer_text(answer) == (
        "verified: a ground\n\nMatrix: measured up to 2026-11-25, releases known up to 2026-11-26\n"
    )
