"""How the accuracy of the matrix is drawn and counted."""

from __future__ import annotations

from collections import Counter

from tests.facts import EVIDENCE, SHIPPED, cell, matrix
from vc2doctor.curate.grid import accuracy
from vc2doctor.curate.grid.accuracy import Prediction, Result, Sample
from vc2doctor.curate.grid.cells import CellSpec, key_of, parse
from vc2doctor.matrix import load, releases
from vc2doctor.matrix.judge import Judgement, Verdict

WHEELS = releases.read(load.shipped() / "releases.json")
TORCHES = ("2.3.1", "2.13.0")
PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


def drawn(seed: int, cells: int = 40) -> list[CellSpec]:
    return accuracy.draw(WHEELS, EVIDENCE, TORCHES, PYTHONS, Sample(cells=cells, seed=seed))


def test_a_seed_draws_the_same_cells_and_another_draws_others() -> None:
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_nothing_is_drawn_that_was_measured_or_drawn_before() -> None:
    keys = [one.key for one in drawn(3)]
    assert len(keys) == len(set(keys)) == 40
    assert not set(keys) & {key_of(line) for line in EVIDENCE}


def test_pythons_are_those_that_the_torch_was_built_for() -> None:
    for one in drawn(4):
        assert one.cell.python in WHEELS.releases["torch"][one.cell.torch].built_for


def test_half_of_them_lie_near_the_diagonal_of_dates() -> None:
    for one in drawn(5)[1::2]:
        day = WHEELS.releases["torch"][one.cell.torch].date
        assert abs(int(WHEELS.releases["peft"][one.cell.peft].date[:4]) - int(day[:4])) <= 1


def test_old_torches_get_the_numpy_that_they_were_built_for() -> None:
    wanted = accuracy.draw(WHEELS, (), ("2.1.2",), PYTHONS, Sample(cells=3, seed=1))
    assert all(one.extras == ("numpy<2",) for one in wanted)


def test_torches_are_drawn_up_to_the_newest_measured() -> None:
    assert "2.15.0" not in {text for seed in range(30) for text in accuracy.choose_torches(WHEELS, "2.13.0", 3, seed)}


def test_a_prediction_knows_no_more_than_the_cell() -> None:
    asked = parse("python=3.11 torch=2.13.0 transformers=4.36.2 peft=0.17.0")
    assert accuracy.predict(asked, None, SHIPPED, "bf16").judgement.verdict is Verdict.INCOMPATIBLE
    known = matrix(cell("2.13.0", "4.40.1", "0.10.0"))
    asked = parse("python=3.11 torch=2.13.0 transformers=5.0.0 peft=0.10.0")
    assert accuracy.predict(asked, None, known, "bf16").judgement.verdict is Verdict.UNVERIFIED


def test_a_prediction_knows_what_the_resolver_would_bring() -> None:
    asked = parse("python=3.11 torch=2.4.1 transformers=4.44.2 peft=0.11.1")
    resolved = {"torch": "2.4.1", "transformers": "4.44.2", "peft": "0.11.1", "numpy": "2.4.6"}
    without = accuracy.predict(asked, resolved, SHIPPED, "bf16").judgement
    assert without.verdict is Verdict.INCOMPATIBLE
    assert "no setuptools" in without.reason
    there = accuracy.predict(asked, {**resolved, "setuptools": "75.8.0"}, SHIPPED, "bf16").judgement
    assert there.verdict is Verdict.COMPATIBLE


def result(verdict: Verdict, *, trains: bool) -> Result:
    asked = parse("python=3.11 torch=2.13.0 transformers=4.36.2 peft=0.17.0")
    prediction = Prediction(asked=asked, judgement=Judgement(verdict=verdict, reason="a ground"))
    return Result(**dict(prediction), trains=trains, description="how it ended")


def test_the_table_counts_right_wrong_and_unknown() -> None:
    results = [
        result(Verdict.COMPATIBLE, trains=True),
        result(Verdict.COMPATIBLE, trains=False),
        result(Verdict.INCOMPATIBLE, trains=False),
        result(Verdict.INCOMPATIBLE, trains=True),
        result(Verdict.UNVERIFIED, trains=True),
    ]
    assert Counter(one.right for one in results) == {True: 2, False: 3}
    told = accuracy.table(results)
    assert "right: 2 of 4 decided (50.0%)" in told
    assert "unverified: 1 (20.0%)" in told
    assert sum(line.startswith("wrong: ") for line in told) == 2
    assert [line.split() for line in told if line.startswith("compatible")] == [["compatible", "1", "1"]]
