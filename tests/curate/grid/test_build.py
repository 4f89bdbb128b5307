"""Failed installations, classified by real messages of uv."""

from __future__ import annotations

import pytest

from vc2doctor.curate.grid.build import BuildError, classify

UNSATISFIABLE = """  x No solution found when resolving dependencies:
  ╰─▶ Because tokenizers==0.14.1 depends on huggingface-hub>=0.16.4,<0.18 and peft>=0.21.2 depends on
      huggingface-hub>=0.25.0, we can conclude that your requirements are unsatisfiable."""
NO_WHEEL = """  x No solution found when resolving dependencies:
  ╰─▶ Because torch==1.13.1 has no wheels with a matching Python ABI tag (e.g., `cp312`) and you require torch==1.13.1,
      we can conclude that your requirements are unsatisfiable."""
BUILD_FAILED = """  x Failed to build `tokenizers==0.13.3`
  ├─▶ The build backend returned an error
  ╰─▶ Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)
      error: can't find Rust compiler in /home/somebody/.cache/builds/tokenizers"""


@pytest.mark.parametrize(
    ("stderr", "outcome"), [(UNSATISFIABLE, "unsatisfiable"), (NO_WHEEL, "no-wheel"), (BUILD_FAILED, "build-failed")]
)
def test_the_message_of_uv_shows_why_the_installation_failed(stderr: str, outcome: str) -> None:
    assert classify(stderr).outcome == outcome


def test_evidence_holds_no_path_of_a_machine() -> None:
    assert "somebody" not in classify(BUILD_FAILED).message
    assert "tokenizers==0.13.3" in classify(BUILD_FAILED).message


@pytest.mark.parametrize("stderr", ["error: Failed to fetch: connection refused", "No space left on device", ""])
def test_a_failure_of_the_network_or_the_disk_is_not_an_outcome_of_the_cell(stderr: str) -> None:
    with pytest.raises(BuildError, match="because of this machine, not because of the cell"):
        classify(stderr)
