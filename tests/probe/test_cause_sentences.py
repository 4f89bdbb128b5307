"""The sentences of causes: they name rates, ids, sizes, modules and lines of code."""

from __future__ import annotations

from typing import Any

import pytest

from tests.facts import probe_run, recipe
from tests.probe.cause_cases import (
    CASES,
    CLEAN,
    OVERFLOWING,
    bad,
    broken,
    frozen,
    graph,
    inspected,
    no_graph,
    raised,
)
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


def test_ids_are_compared_with_the_embedding_that_has_the_most_rows() -> None:
    """CLIP: the table of positions has the last name in the alphabet, and the fewest rows."""
    tokens, positions = "text_model.embeddings.token_embedding", "vision_model.embeddings.position_embedding"
    run, _ = CASES["index-out-of-range"]
    facts = {"inspection": inspected(largest_ids={"input_ids": 49407}, embeddings={tokens: 49408, positions: 50})}
    assert f"rows of an embedding ({tokens} has 49408, {positions} has 50)" in description_of(run, **facts)


@pytest.mark.parametrize("name", ["labels", "label_ids", "attention_mask", "packing_mask"])
def test_labels_and_masks_are_not_ids_of_tokens(name: str) -> None:
    """Labels belong to the output, and the mask of a packed row counts its texts."""
    run, _ = CASES["index-out-of-range"]
    facts = {"inspection": inspected(largest_ids={name: 40, "input_ids": 32}, embeddings={"model.embed_tokens": 32})}
    assert description_of(run, **facts).startswith("input_ids holds 32")


def test_an_id_that_is_too_large_is_described_by_torch_if_nothing_was_read_of_the_model() -> None:
    run, _ = CASES["index-out-of-range"]
    for inspection in (None, CLEAN):
        assert description_of(run, inspection=inspection).endswith("outside of its table: index out of range in self")


def test_rows_without_a_token_are_counted_and_a_row_of_minus_infinity_is_placed() -> None:
    run = bad("fp32", located=broken(op="_softmax", dtype="float32", exact=None, hidden_rows=1))
    assert "hides every token of 1 row, " in description_of(run, inspection=inspected(masked_rows=1))
    assert "hides every token of 3 rows, " in description_of(run, inspection=inspected(masked_rows=3))
    for inspection in (None, CLEAN):
        assert description_of(run, inspection=inspection).startswith(
            "_softmax in layers.2.mlp gets rows that hold nothing but -inf"
        )


def test_an_undefined_operation_is_described_with_the_0_that_it_gets_and_without_one_if_it_gets_none() -> None:
    run = bad("fp32", located=broken(op="log", dtype="float32", exact=None, zeros=True))
    assert " for the values that it gets, among them 0, in every precision" in description_of(run)
    run = bad("fp32", located=broken(op="log", dtype="float32", exact=None))
    assert " for the finite values that it gets in every precision" in description_of(run)


def test_the_module_is_named_that_runs_without_gradients_or_whose_output_is_lost() -> None:
    assert "while adapter runs" in description_of(no_graph(graph=graph(enabled=False)))
    assert "while the model itself runs" in description_of(no_graph(graph=graph(enabled=False, module="")))
    lost = graph(graph=True)
    unused = no_graph(graph=lost.model_copy(update={"loss": True}), failure=None)
    assert description_of(unused).startswith("adapter runs with gradients on, but the loss does not depend")
    for last, named in (("projector", "projector"), (None, "adapter")):
        cut = no_graph(graph=lost.model_copy(update={"last": last}))
        assert f"cut after {named}, the last module that has one" in description_of(cut)


def test_a_huge_scale_is_described_by_its_start() -> None:
    assert "at a scale of 1.09951e+12" in description_of(recipe("fp16-amp", steps=frozen(2.0**40)))


def test_an_exploding_loss_is_described_with_the_learning_rate() -> None:
    run, _ = CASES["exploding-rate"]
    assert description_of(run).startswith("the loss grows without limit at a learning rate of 2e-05, and")
    unknown = run.model_copy(update={"adapters": None})
    assert description_of(unknown).startswith("the loss grows without limit, and")


def test_an_overflow_of_gradients_is_described_with_the_loss_scale() -> None:
    unscaled, _ = CASES["backward-overflow"]
    assert description_of(unscaled) == "the loss is finite, but the gradients are not: the backward pass overflows"
    scaled = recipe("fp16-amp", steps=(OVERFLOWING.model_copy(update={"scale": 65536.0}),))
    assert "but the gradients are not at a loss scale of 65536:" in description_of(scaled)


def test_changed_weights_are_described_by_the_first_loss() -> None:
    run, facts = CASES["float16-checkpoint-in-bfloat16"]
    assert description_of(run, **facts).endswith("So the first loss is 5.5 instead of 4.5")


def test_an_exploding_loss_without_facts_on_the_optimizer_is_described_without_its_rate() -> None:
    run, _ = CASES["exploding-rate"]
    assert "learning rate" not in description_of(run.model_copy(update={"adapters": None}))


def test_a_float16_region_inside_the_model_is_told_apart_from_a_nested_one_of_the_recipe() -> None:
    assert "the model's own code enters a float16 autocast" in description_of(bad("bf16-amp", located=broken()))
    assert "overrides the outer bfloat16" in description_of(bad("bf16-in-fp16-autocast", located=broken()))
