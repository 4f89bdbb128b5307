"""The sentences of causes that hold a rate, an id, or a line of code."""

from __future__ import annotations

from typing import Any

from tests.facts import probe_run
from tests.probe.cause_cases import CASES, bad, broken, inspected, raised
from vc2doctor.probe.diagnose import diagnose
from vc2doctor.probe.facts import RecipeRun


def description_of(run: RecipeRun, **facts: Any) -> str:  # noqa: ANN401
    cause = diagnose(run, probe_run(run, **facts))
    assert cause is not None
    return cause.description


def test_a_rate_that_is_too_high_is_described_with_both_rates() -> None:
    run, _ = CASES["rate-too-high"]
    assert description_of(run).endswith(
        "the loss rises at a learning rate of 2e-05 and falls at 2e-07: the rate is too high"
    )
    unknown = run.model_copy(update={"adapters": None})
    assert description_of(unknown).endswith("rises at this learning rate and falls at 0.01 of it: the rate is too high")


def test_a_wrong_id_is_described_with_its_embedding_and_a_wrong_label_with_its_number() -> None:
    run, facts = CASES["index-out-of-range"]
    assert description_of(run, **facts) == "input_ids holds 32, but model.embed_tokens has 32 rows (0 to 31)"
    wide = {"inspection": inspected(largest_ids={"words": 19}, embeddings={"words": 20, "places": 6})}
    assert description_of(run, **wide).endswith("outside of the rows of an embedding (words has 20, places has 6)")
    label = raised("Target 7 is out of bounds.", type="IndexError")
    assert description_of(label, **facts) == "the label 7 is not a class of the output"


def test_the_line_of_code_and_the_node_of_the_graph_are_named() -> None:
    place = {"file": "mine.py", "line": 7, "node": "SqrtBackward0", "phase": "backward", "op": "div"}
    run = bad("fp32", located=broken(dtype="float32", exact=None, zeros=True, **place))
    assert description_of(run).startswith(
        "div in the backward pass of SqrtBackward0 (mine.py:7) returns NaN or infinity"
    )
