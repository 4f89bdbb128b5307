"""A cell whose failure blames a package beside the stack says nothing about the stack alone."""

from __future__ import annotations

import pytest

from tests.facts import cell, failure
from vc2doctor.curate.compile.cells import _speaks_for_its_stack


@pytest.mark.parametrize(
    ("message", "speaks"),
    [("Found an incompatible version of torchao. Found version 0.14.1", False), ("it broke", True)],
)
def test_a_failure_in_peft_that_names_torchao_is_one_of_torchao(message: str, speaks: bool) -> None:
    error = failure(message, package="peft")
    line = cell("2.13.0", "5.13.1", "0.19.0", recipes={"fp32": "error"}, failures={"fp32": error})
    line = line.model_copy(update={"door_packages": {"torchao": "0.14.1"}})
    assert _speaks_for_its_stack(line) is speaks
