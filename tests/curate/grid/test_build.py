"""How a failed installation is told: messages of uv, as it gave them."""

from __future__ import annotations

import pytest

from vc2doctor.curate.grid.build import BuildError, classify

UNSATISFIABLE = """  x No solution found when resolving dependencies:
  ╰─▶ Because tokenizers==0.14.1 depends on huggingface-hub>=0.16.4,<0.18 and peft>=0.21.2 depends on
      huggingface-hub>=0.25.0, we can conclude that your requirements are unsatisfiable."""
NO_WHEEL = """  x No solution found when resolving dependencies:
  ╰─▶ Because torch==1.13.1 has no wheels with a matching Python ABI tag (e.g., `cp312`) and you require torch==1.13.1,
      we can conclude that your requirements are unsatisfiable."""
BUILD = """  x Failed to build `tokenizers==0.13.3`
  ├─▶ The build backend returned an error
  ╰─▶ Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)
      error: can't find Rust compiler in /home/somebody/.cache/builds/tokenizers"""


@pytest.mark.parametrize(
    ("told", "outcome"), [(UNSATISFIABLE, "unsatisfiable"), (NO_WHEEL, "no-wheel"), (BUILD, "build-failed")]
)
def test_outcomes(told: str, outcome: str) -> None:
    assert classify(told).outcome == outcome


def test_no_path_of_a_machine_gets_into_the_evidence() -> None:
    assert "somebody" not in classify(BUILD).message
    assert "tokenizers==0.13.3" in classify(BUILD).message


@pytest.mark.parametrize("told", ["error: Failed to fetch: connection refused", "No space left on device", ""])
def test_what_says_nothing_of_the_cell_is_no_outcome(told: str) -> None:
    with pytest.raises(BuildError, match="says nothing of the cell"):
        classify(told)
