"""Drawing and counting for the accuracy of the matrix."""

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


def test_a_seed_determines_the_drawn_cells() -> None:
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_no_cell_is_drawn_that_was_measured_or_drawn_before() -> None:
    keys = [spec.key for spec in drawn(3)]
    assert len(keys) == len(set(keys)) == 40
    assert not set(keys) & {key_of(line) for line in EVIDENCE}


def test_the_drawn_python_has_a_wheel_of_the_drawn_torch() -> None:
    for spec in drawn(4):
        assert spec.cell.python in WHEELS.releases["torch"][spec.cell.torch].built_for


def test_every_second_cell_has_releases_of_about_the_same_date() -> None:
    for spec in drawn(5)[1::2]:
        date = WHEELS.releases["torch"][spec.cell.torch].date
        assert abs(int(WHEELS.releases["peft"][spec.cell.peft].date[:4]) - int(date[:4])) <= 1


def test_an_old_torch_gets_the_numpy_that_it_was_built_for() -> None:
    specs = accuracy.draw(WHEELS, (), ("2.1.2",), PYTHONS, Sample(cells=3, seed=1))
    assert all(spec.extras == ("numpy<2",) for spec in specs)


def test_no_torch_newer_than_the_measured_ones_is_drawn() -> None:
    assert "2.15.0" not in {text for seed in range(30) for text in accuracy.draw_torches(WHEELS, "2.13.0", 3, seed)}


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


def result(verdict: Verdict, *, trains: bool) -> Result:
    spec = parse("python=3.11 torch=2.13.0 transformers=4.36.2 peft=0.17.0")
    prediction = Prediction(spec=spec, judgement=Judgement(verdict=verdict, reason="a reason"))
    return Result(**dict(prediction), trains=trains, description="how it ended")


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
    assert "unverified: 1 (20.0%)" in lines
    assert sum(line.startswith("wrong: ") for line in lines) == 2
    assert [line.split() for line in lines if line.startswith("compatible")] == [["compatible", "1", "1"]]
