"""Reading the worker's events, well-formed and malformed ones."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.facts import child
from vc2doctor.probe.events import EventReader
from vc2doctor.probe.facts import ProbeRun
from vc2doctor.probe.outcome import outcomes
from vc2doctor.target.shared.protocol import PROTOCOL

GRADIENTS = {"tensors": 3, "missing": 0, "non_finite": 0, "zero": 0}
START = {"event": "start", "protocol": PROTOCOL, "worker": "1", "python": "3.11.7", "pid": 5}
RECIPE = {"event": "recipe", "recipe": "bf16"}


def step_event(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    facts = {"step": 0, "loss": 4.5, "taken": True, "scale": None, "gradients": GRADIENTS, "parameters_finite": True}
    return {"event": "step", "recipe": "bf16", **facts, **fields}


def read(*events: dict[str, Any], **fields: Any) -> ProbeRun:  # noqa: ANN401
    reader = EventReader()
    for event in events:
        reader.take(dict(event))
    return reader.run(child(**fields))


def test_the_events_of_a_whole_recipe_become_its_facts() -> None:
    run = read(
        START,
        {"event": "importing", "package": "torch"},
        {"event": "import", "package": "torch", "version": "2.13.0", "file": None, "seconds": 1.5},
        RECIPE,
        {"event": "adapters", "recipe": "bf16", "dtypes": ["float32"], "tensors": 3, "elements": 9},
        step_event(),
        {"event": "movement", "recipe": "bf16", "share": 1.0},
        {"event": "recipe-end", "recipe": "bf16", "seconds": 0.2},
        {"event": "end"},
    )
    assert (run.ending, run.malformed_events, run.worker) == ("finished", 0, "1")
    recipe = run.recipe("bf16")
    assert recipe is not None
    assert (recipe.finished, len(recipe.steps), recipe.moved) == (True, 1, 1.0)


HEADROOM = {
    "event": "headroom",
    "tightest": {"module": "layer", "op": "mul", "largest": 4.0},
    "layers": {"layer": 4.0},
}


def test_range_within_another_way_to_train_is_not_that_of_the_plain_one() -> None:
    run = read(START, {"event": "variant", "variant": "compiled"}, HEADROOM)
    assert (run.headroom, run.malformed_events) == (None, 0)


def test_malformed_start_of_another_way_to_train_changes_nothing() -> None:
    run = read(START, {"event": "variant"}, HEADROOM)
    assert run.headroom is not None
    assert run.malformed_events == 1


def test_architecture_and_its_failure_are_kept() -> None:
    run = read(START, {"event": "architecture", "model": "Qwen2ForCausalLM", "parameters": 86592})
    assert run.architecture is not None
    assert run.architecture.model == "Qwen2ForCausalLM"
    error = {"type": "UnknownArchitectureError", "message": "x", "file": None, "line": None, "package": None}
    run = read(START, {"event": "architecture-failed", "stage": "unknown", "error": {**error, "missing": None}})
    assert run.architecture_failure is not None
    assert run.architecture_failure.stage == "unknown"
    assert read(START, {"event": "architecture-failed", "stage": "x", "error": error}).malformed_events == 1


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"event": "unheard-of"},
        {"event": ["step"]},
        step_event(loss="low"),
        step_event(loss=math.nan),
        step_event(step=-1),
        step_event(surprise=1),
        step_event(recipe="never begun"),
        step_event(recipe=[1]),
        {"event": "step", "recipe": "bf16"},
        {"event": "movement", "recipe": "bf16", "share": math.inf},
        {"event": "recipe-end", "recipe": "bf16", "seconds": "long"},
        {"event": "recipe-failed", "recipe": "bf16", "phase": "forward", "error": "it broke", "memory": False},
        {"event": "import-failed", "package": "torch", "error": []},
        {"event": "start", "protocol": "one", "worker": "1"},
        {"event": "adapter"},
    ],
)
def test_a_malformed_event_is_counted_and_changes_nothing(event: dict[str, Any]) -> None:
    plain = read(START, RECIPE, step_event())
    disturbed = read(START, RECIPE, event, step_event())
    assert disturbed.malformed_events == 1
    assert disturbed.model_copy(update={"malformed_events": 0}) == plain


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
kinds = st.sampled_from(list(EventReader().handlers))
names = st.sampled_from(
    ["recipe", "loss", "step", "package", "error", "protocol", "worker", "seconds", "share", "reason", "dtypes"]
)
events = st.builds(
    lambda kind, fields: {**fields, "event": kind}, kinds, st.dictionaries(names, values | st.just("bf16"), max_size=5)
)


@given(st.lists(events, max_size=12))
def test_no_sequence_of_events_breaks_the_reader(sequence: list[dict[str, Any]]) -> None:
    run = read(*sequence)
    outcomes(run)
    assert run.model_dump_json()


def test_a_worker_that_sends_no_event_is_silent() -> None:
    assert read(code=0).ending == "silent"
    assert read(ending="signal", code=None, signal="SIGSEGV").ending == "silent"


def test_another_protocol_is_refused() -> None:
    assert read({**START, "protocol": 99}).ending == "protocol"


def test_an_end_without_the_end_event_or_with_an_exit_code_is_an_exit() -> None:
    assert read(START, code=3).ending == "exit"
    assert read(START, code=0).ending == "exit"
    assert read(START, {"event": "end"}, code=1).ending == "exit"


def test_a_kill_is_blamed_on_memory_only_if_the_kernel_counted_it() -> None:
    killed = {"ending": "signal", "code": None, "signal": "SIGKILL"}
    assert read(START, **killed, out_of_memory=True).ending == "out-of-memory"
    assert read(START, **killed).ending == "signal"


def test_the_stage_follows_the_events() -> None:
    assert read(START, {"event": "importing", "package": "peft"}).stage == "importing peft"
    assert read(START, RECIPE).stage == "training under bf16"
    reader = EventReader(rounds_planned=8)
    reader.take(dict(RECIPE))
    assert reader.stage == "training under bf16 (1 of 8)"


def test_doors_are_read_and_an_unknown_one_is_malformed() -> None:
    run = read(
        START,
        {"event": "door", "door": "trainer", "trains": True},
        {"event": "door-end", "door": "trainer", "phase": "step", "losses": [4.5, None], "moved": 0.5, "seconds": 1.0},
        {"event": "door", "door": "dpo", "trains": False},
        {"event": "door", "door": "back", "trains": True},
        {"event": "door-end", "door": "sft", "phase": "step", "seconds": 1.0},
        {"event": "distributions", "names": ["Torch", "huggingface_hub", "torch"]},
    )
    assert [(door.door, door.trains, door.finished, door.losses) for door in run.doors] == [
        ("trainer", True, True, (4.5, None)),
        ("dpo", False, False, ()),
    ]
    assert run.distributions == ("huggingface-hub", "torch")
    assert run.malformed_events == 2
    assert run.stage == "importing trl's DPOTrainer"


def test_checkpointed_blocks_and_the_graph_of_a_recipe_are_kept() -> None:
    module = {"module": "first", "called": True, "enabled": False, "graph": False, "partly": False}
    run = read(
        START,
        RECIPE,
        {"event": "checkpointing", "recipe": "bf16", "blocks": ["Block"]},
        {"event": "graph", "recipe": "bf16", "loss": False, "modules": [module], "last": None},
        {"event": "graph", "recipe": "bf16", "loss": False, "modules": [{}], "last": None},
        {"event": "checkpointing", "recipe": "bf16", "blocks": [1]},
    )
    recipe = run.recipe("bf16")
    assert recipe is not None
    assert recipe.graph is not None
    assert (recipe.checkpointed, recipe.graph.modules[0].module) == (("Block",), "first")
    assert run.malformed_events == 2


def test_the_reason_why_a_backward_pass_was_not_measured_is_kept() -> None:
    error = {"type": "RuntimeError", "message": "no\nkernel.", "file": "mine.py", "line": 3, "package": None}
    run = read(START, {"event": "gradients-failed", "error": error})
    assert run.gradients_unmeasured == "RuntimeError: no kernel, raised at mine.py:3"
    run = read(START, {"event": "gradients-unmeasured", "reason": "memory holds it in bfloat16 only"})
    assert run.gradients_unmeasured == "memory holds it in bfloat16 only"
