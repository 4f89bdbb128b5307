"""The map around an environment: the table for its torch, and where in it the environment is."""

from __future__ import annotations

import pytest

from tests.facts import cell, matrix
from vc2doctor.matrix.stack_map import stack_map

BROKEN = {
    "recipes": {},
    "adapter": "not reached",
    "import_failure": {
        "type": "ImportError",
        "message": "no",
        "package": "peft",
        "missing": {"module": "transformers", "symbol": "X"},
    },
}
SMALL = matrix(
    *(cell("2.0.0", f"4.{minor}.0", "0.1.0") for minor in range(3)),
    *(cell("2.0.0", f"4.{minor}.0", "0.1.0", **BROKEN) for minor in (3, 4)),
    cell("2.0.0", "4.0.0", "0.2.0", **BROKEN),
)


@pytest.mark.parametrize(
    ("transformers", "peft", "kind"),
    [("4.1.0", "0.1.0", "trains"), ("4.4.0", "0.1.0", "fails"), ("4.0.0", "0.2.0", "fails")],
)
def test_place_of_an_environment_has_the_verdict_on_its_versions(transformers: str, peft: str, kind: str) -> None:
    drawn = stack_map(SMALL, {"torch": "2.0.0+cpu", "transformers": transformers, "peft": peft}, "bf16")
    assert drawn is not None
    assert drawn.table.torch == "2.0.0"
    assert drawn.row is not None
    assert drawn.column is not None
    assert drawn.table.rows[drawn.row].entries[drawn.column].kind == kind


def test_release_that_the_matrix_does_not_know_has_no_place() -> None:
    drawn = stack_map(SMALL, {"torch": "2.0.0", "transformers": "4.1.7", "peft": "9.0"}, "bf16")
    assert drawn is not None
    assert (drawn.row, drawn.column) == (None, None)
    assert (drawn.transformers, drawn.peft) == ("4.1.7", "9.0")


def test_environment_without_a_package_of_the_stack_has_no_map() -> None:
    assert stack_map(SMALL, {"torch": "2.0.0", "peft": "0.1.0"}, "bf16") is None
