"""Counting for the accuracy of the matrix, by door."""

from __future__ import annotations

from collections import Counter

from tests.facts import SHIPPED, cell, matrix
from vc2doctor.curate.grid import accuracy
from vc2doctor.curate.grid.accuracy import Result
from vc2doctor.curate.grid.cells import parse
from vc2doctor.matrix.judge import Judgement, Verdict


def test_without_a_resolution_the_prediction_uses_the_cell_only() -> None:
    spec = parse("python=3.11 torch=2.13.0 transformers=4.36.2 peft=0.17.0")
    assert accuracy.predict(spec, None, SHIPPED, "bf16").judgement.verdict is Verdict.INCOMPATIBLE
    knowledge = matrix(cell("2.13.0", "4.40.1", "0.10.0"))
    spec = parse("python=3.11 torch=2.13.0 transformers=5.0.0 peft=0.10.0")
    assert accuracy.predict(spec, None, knowledge, "bf16").judgement.verdict is Verdict.UNVERIFIED


def test_the_prediction_uses_the_versions_that_the_resolver_would_install() -> None:
    spec = parse("python=3.11 torch=2.4.1 transformers=4.44.2 peft=0.11.1")
    resolved = {"torch": "2.4.1", "transformers": "4.44.2", "peft": "0.11.1", "numpy": "2.4.6"}
    without_setuptools = accuracy.predict(spec, resolved, SHIPPED, "bf16").judgement
    assert without_setuptools.verdict is Verdict.INCOMPATIBLE
    assert "without setuptools" in without_setuptools.reason
    with_setuptools = accuracy.predict(spec, {**resolved, "setuptools": "75.8.0"}, SHIPPED, "bf16").judgement
    assert with_setuptools.verdict is Verdict.COMPATIBLE


def result(verdict: Verdict, *, trains: bool, door: str = "loop") -> Result:
    spec = parse("python=3.11 torch=2.13.0 transformers=4.36.2 peft=0.17.0")
    judgement = Judgement(verdict=verdict, reason="a reason")
    return Result(spec=spec, door=door, judgement=judgement, trains=trains, description="how it ended")


def test_the_table_counts_right_wrong_and_unverified_predictions() -> None:
    results = [
        result(Verdict.COMPATIBLE, trains=True),
        result(Verdict.COMPATIBLE, trains=False),
        result(Verdict.INCOMPATIBLE, trains=False),
        result(Verdict.INCOMPATIBLE, trains=True),
        result(Verdict.UNVERIFIED, trains=True),
    ]
    assert Counter(entry.right for entry in results) == {True: 2, False: 3}
    lines = accuracy.table(results)
    assert "right: 2 of 4 decided (50.0%)" in lines
    assert "unverified: 1 of 5 asked (20.0%)" in lines
    assert "falsely fit: 1 of 5 asked" in lines
    assert [sum(line.startswith(kind) for line in lines) for kind in ("wrong: ", "falsely fit: python")] == [1, 1]
    assert [line.split() for line in lines if line.startswith("compatible")] == [["compatible", "1", "1"]]


def test_each_door_has_a_table_of_its_own() -> None:
    results = [result(Verdict.COMPATIBLE, trains=True), result(Verdict.COMPATIBLE, trains=False, door="trainer")]
    lines = accuracy.table(results)
    assert [line for line in lines if line.startswith("door: ")] == ["door: loop", "door: trainer"]
    assert [line for line in lines if line.startswith("falsely fit: ") and "asked" in line] == [
        "falsely fit: 0 of 1 asked",
        "falsely fit: 1 of 1 asked",
    ]


def test_a_door_was_measured_only_if_the_line_says_so() -> None:
    trains = cell("2.13.0", "4.40.1", "0.10.0")
    assert accuracy.measured(trains, "bf16", "loop") is True
    assert accuracy.measured(trains, "bf16", "trainer") is None
    for outcome, expected in (("passed", True), ("failed", False), ("unsupported", None)):
        line = trains.model_copy(update={"doors": {"trainer": outcome}})
        assert accuracy.measured(line, "bf16", "trainer") is expected
