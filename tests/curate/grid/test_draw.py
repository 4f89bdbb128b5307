"""Drawing the cells that count for the accuracy of the matrix."""

from __future__ import annotations

from collections import Counter

from tests.facts import EVIDENCE, SHIPPED
from vc2doctor.core.versions import ABSENT, contains
from vc2doctor.curate.grid import draw as drawing
from vc2doctor.curate.grid.cells import CellSpec, key_of
from vc2doctor.curate.grid.draw import BESIDE, NEAR, Sample
from vc2doctor.matrix import load, releases
from vc2doctor.matrix.compiled import Constraint

WHEELS = releases.read(load.shipped() / "releases.json")
TORCHES = ("2.3.1", "2.13.0")
CONSTRAINTS = SHIPPED.verdicts.constraints
PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


def drawn(seed: int, cells: int = 40) -> list[CellSpec]:
    return drawing.draw(WHEELS, EVIDENCE, CONSTRAINTS, (TORCHES, PYTHONS), Sample(cells=cells, seed=seed))


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


def test_every_fourth_cell_has_releases_of_about_the_same_date() -> None:
    for spec in drawn(5)[2::4]:
        date = WHEELS.releases["torch"][spec.cell.torch].date
        assert abs(int(WHEELS.releases["peft"][spec.cell.peft].date[:4]) - int(date[:4])) <= 1


def test_an_old_torch_gets_the_numpy_that_it_was_built_for() -> None:
    specs = drawing.draw(WHEELS, (), (), (("2.1.2",), PYTHONS), Sample(cells=3, seed=1))
    for spec in specs:
        assert [text.startswith(("numpy<2", "numpy==")) for text in spec.extras].count(True) == 1


def test_no_torch_newer_than_the_measured_ones_is_drawn() -> None:
    assert "2.15.0" not in {text for seed in range(30) for text in drawing.draw_torches(WHEELS, "2.13.0", 3, seed)}


def test_every_second_cell_is_near_a_boundary() -> None:
    constraint = Constraint(
        id="x", kind="symbol", reason="", when={"peft": ">=0.10,<0.12", "accelerate": "<0.29"}, failed=(), works=()
    )
    specs = drawing.draw(WHEELS, (), (constraint,), (TORCHES, PYTHONS), Sample(cells=40, seed=6))
    ordered = {name: WHEELS.ordered(name) for name in ("peft", "accelerate")}
    edges = {
        name: [index for index, text in enumerate(ordered[name]) if contains(wanted, text)]
        for name, wanted in constraint.when.items()
        if wanted != ABSENT
    }
    for spec in specs[1::2]:
        position = ordered["peft"].index(spec.cell.peft)
        assert min(abs(position - edge) for edge in (edges["peft"][0], edges["peft"][-1])) <= NEAR
        (extra,) = (text for text in spec.extras if text.startswith("accelerate=="))
        assert abs(ordered["accelerate"].index(extra.partition("==")[2]) - edges["accelerate"][-1]) <= NEAR


def test_releases_of_the_packages_beside_the_three_are_drawn() -> None:
    names = Counter(text.partition("==")[0] for spec in drawn(7, 120) for text in spec.extras)
    assert all(10 < names[name] < 80 for name in BESIDE)
