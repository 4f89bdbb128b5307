"""Every named cause: facts that decide it, and similar facts that do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import noxfile
from tests.facts import CPU_DEVICE, cuda_device, falling, probe_run, recipe, step
from tests.probe.cause_cases import (
    CASES,
    DEAD,
    FROZEN,
    HALF,
    NOT_FINITE,
    OVERFLOWING,
    PEFT,
    POISONED,
    RISING,
    Facts,
    bad,
    broken,
    frozen,
    gradients,
    graph,
    inspected,
    no_graph,
    raised,
)
from vc2doctor.probe import named_cause
from vc2doctor.probe.case import Case
from vc2doctor.probe.diagnose import CAUSES, diagnose, pages
from vc2doctor.probe.facts import Adapters, ImportedPackage, PlanRate, RecipeRun


def cause_of(run: RecipeRun, **facts: Any) -> str | None:  # noqa: ANN401
    cause = diagnose(run, probe_run(run, **facts))
    return cause.id if cause else None


@pytest.mark.parametrize("name", list(CASES))
def test_the_cause_is_named_from_its_facts(name: str) -> None:
    run, facts = CASES[name]
    assert cause_of(run, **facts) == name


def test_every_cause_has_a_case_and_a_remedy() -> None:
    assert [cause.id for cause in CAUSES] == list(CASES), "the cases stand in the order of the causes"
    for run, facts in CASES.values():
        cause = diagnose(run, probe_run(run, **facts))
        assert cause is not None
        assert cause.remedy.endswith(".")
        assert "\n" not in cause.remedy
        assert not cause.description.endswith("."), "reports join it to other text"


EXPLODED = (step(0, 1.0), step(1, 50.0))
UNHARMED = (step(0, 4.5), step(1, None))
CLIPPED = {"clip-1.0": True}
NO_EPS = HALF.model_copy(update={"dtypes": ("float32",), "eps": 0.0})
FIRST_LOSS_DIFFERS = (step(0, 5.5), step(1, 5.6))
PARTLY_DEAD = (step(0, 4.5, gradients=gradients(zero=8, missing=2)), *DEAD)
FLOAT16_CHECKPOINT = {"inspection": inspected(stored="float16")}


def moving(share: float) -> Adapters:
    return Adapters(dtypes=("bfloat16",), tensors=1, elements=1, would_move={"bfloat16": {4096: share}})


def test_a_new_cause_is_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_cause, "CAUSES", [])

    @named_cause.cause("Warm it up.")
    def too_cold(_: Case) -> str | None:
        return "it is cold"

    assert [named_cause.NamedCause("too-cold", "Warm it up.", too_cold)] == named_cause.CAUSES


SIMILAR: dict[str, tuple[RecipeRun, Facts]] = {
    "an exception is not blamed on the data": (
        raised("it broke"),
        {"inspection": inspected(bad_input="x", bad_weight="y", targets=(0,), masked_rows=1)},
    ),
    "a row is masked, but another operation broke": (
        bad("fp32", located=broken(op="mm", dtype="float32", exact=1.0)),
        {"inspection": inspected(masked_rows=1)},
    ),
    "the result is below the limit in a wider dtype": (
        bad("fp16-scaled", located=broken(exact=9.0)),
        {},
    ),
    "the poisoned parameters are float32": (recipe("fp16-unscaled", steps=POISONED), {}),
    "float16 can hold eps": (
        recipe("fp16-unscaled", steps=POISONED, adapters=HALF.model_copy(update={"eps": 1e-6})),
        {},
    ),
    "the optimizer is not Adam": (
        recipe("fp16-unscaled", steps=POISONED, adapters=HALF.model_copy(update={"optimizer": "SGD"})),
        {},
    ),
    "the loss explodes, and clipping does not help": (bad("bf16", steps=(step(0, 4.0), *NOT_FINITE)), {}),
    "there are no facts": (bad("bf16"), {}),
    "one label of each batch counts": (bad("fp32"), {"inspection": inspected(targets=(20, 1))}),
    "eps is unknown": (recipe("fp16-unscaled", steps=POISONED, adapters=HALF.model_copy(update={"eps": None})), {}),
    "eps is the smallest number of float16": (
        recipe("fp16-unscaled", steps=POISONED, adapters=HALF.model_copy(update={"eps": 2.0**-24})),
        {},
    ),
    "the parameters of a failed training are finite": (bad("fp16-unscaled", steps=UNHARMED, adapters=HALF), {}),
    "a step is taken at a huge scale": (recipe("fp16-amp", steps=(*FROZEN, step(18, 4.5, scale=2.0**22))), {}),
    "a loss is not finite at a huge scale": (
        recipe("fp16-amp", steps=(*FROZEN, step(18, None, taken=False, scale=2.0**22))),
        {},
    ),
    "the scale starts just below a huge one": (recipe("fp16-amp", steps=frozen(2.0**29)), {}),
    "the first loss is not finite, and clipping helps": (bad("bf16", steps=(step(0, None),), experiments=CLIPPED), {}),
    "the loss falls before the end, and clipping helps": (
        bad("bf16", steps=(step(0, 4.0), step(1, 3.0), *NOT_FINITE), experiments=CLIPPED),
        {},
    ),
    "the loss stays equal before the end, and clipping helps": (
        bad("bf16", steps=(step(0, 4.0), step(1, 4.0), *NOT_FINITE), experiments=CLIPPED),
        {},
    ),
    "a nested autocast does not overflow": (bad("bf16-in-fp16-autocast", located=broken(exact=9.0)), {}),
    "a bfloat16 checkpoint breaks at an unknown place": (
        bad("fp16-scaled"),
        {"inspection": inspected(stored="bfloat16")},
    ),
    "a bfloat16 checkpoint does not overflow": (
        bad("fp16-scaled", located=broken(exact=9.0)),
        {"inspection": inspected(stored="bfloat16")},
    ),
    "the result is the largest number of float16": (bad("fp16-scaled", located=broken(exact=65504.0)), {}),
    "float32 fails as well": (
        recipe("fp16-unscaled", steps=(OVERFLOWING,)),
        {"recipes": (recipe("fp32", steps=NOT_FINITE), recipe("fp16-unscaled", steps=(OVERFLOWING,)))},
    ),
    "a loss is not finite after bad gradients": (recipe("fp16-unscaled", steps=(OVERFLOWING, *NOT_FINITE)), {}),
    "a checkpointed block has no graph, but every parameter gets a gradient": (
        recipe("fp32", steps=RISING, checkpointed=("Block",)),
        {},
    ),
    "another parameter of the module gets a gradient": (
        no_graph(graph=graph(graph=True, partly=True), failure=None),
        {},
    ),
    "the loss rises, and no lower rate helps": (recipe("bf16", steps=RISING, experiments={"rate-0.1": False}), {}),
    "nothing moved, because the loss is not finite": (
        bad("fp16-amp", moved=0.0, steps=(step(0, 4.5), *NOT_FINITE)),
        {},
    ),
    "the gradients are 0 here only": (recipe("bf16", steps=DEAD, moved=1.0), {}),
    "the gradients vanish after an explosion": (recipe("fp16-unscaled", vanished=0.9, steps=EXPLODED), {}),
    "the result is not finite at 0, and float32 fails too": (
        bad("fp16-amp"),
        {"recipes": (recipe("fp32", steps=NOT_FINITE), bad("fp16-amp"))},
    ),
    "the loss explodes, and a lower rate does not help": (
        bad("bf16", steps=(step(0, 4.0), step(1, 9e9), *NOT_FINITE), experiments={"rate-0.1": False}),
        {},
    ),
    "float16 weights train in float32": (recipe("bf16-amp", steps=FIRST_LOSS_DIFFERS), FLOAT16_CHECKPOINT),
    "float32 weights train in bfloat16": (
        recipe("bf16", steps=FIRST_LOSS_DIFFERS),
        {"inspection": inspected(stored="float32")},
    ),
    "rounding to bfloat16 hardly changes the first loss": (recipe("bf16", steps=(step(0, 4.51),)), FLOAT16_CHECKPOINT),
    "rounding changes the first loss by the allowed share": (
        recipe("bf16", steps=(step(0, 102.0),)),
        {**FLOAT16_CHECKPOINT, "recipes": (recipe("fp32", steps=(step(0, 100.0),)),)},
    ),
    "the first loss in float32 is not finite": (
        recipe("bf16", steps=FIRST_LOSS_DIFFERS),
        {**FLOAT16_CHECKPOINT, "recipes": (recipe("fp32", steps=NOT_FINITE),)},
    ),
    "float16 weights end before the first loss": (raised("it broke", "bf16"), FLOAT16_CHECKPOINT),
    "the optimizer computes a number that is too large for float32": (
        bad("fp32", located=broken(phase="optimizer", dtype="float32", exact=1e50)),
        {},
    ),
    "eps is 0, but the loss is not finite before the optimizer steps": (
        recipe("fp32", steps=NOT_FINITE, adapters=NO_EPS),
        {},
    ),
    "eps is 0, but the gradients are not finite": (
        recipe("fp32", steps=(OVERFLOWING.model_copy(update={"parameters_finite": False}),), adapters=NO_EPS),
        {"recipes": (recipe("fp32", steps=NOT_FINITE),)},
    ),
    "eps is 0, but the parameters stay finite": (bad("fp32", steps=UNHARMED, adapters=NO_EPS), {}),
    "an operation gets a 0, and its result is small in a wider dtype": (
        bad("fp16-amp", located=broken(op="div", exact=9.0, zeros=True)),
        {},
    ),
    "a step at the project's rate changes just enough of the weights": (
        recipe("full-bf16", plan_rate=PlanRate(learning_rate=1e-6, steps=8, moved=0.45)),
        {},
    ),
    "few gradients vanish": (recipe("fp16-unscaled", vanished=0.05), {}),
    "gradients vanish in spite of loss scaling": (recipe("fp16-scaled", vanished=0.9), {}),
    "a tenth of the parameters changed": (recipe("bf16", moved=0.1), {}),
    "one step changes enough of the adapters": (recipe("bf16", adapters=moving(0.45)), {}),
}


@pytest.mark.parametrize("name", list(SIMILAR))
def test_a_cause_without_evidence_stays_unknown(name: str) -> None:
    run, facts = SIMILAR[name]
    assert cause_of(run, **facts) is None


AT_THE_LIMIT: dict[str, tuple[RecipeRun, Facts, str]] = {
    "the backward pass breaks in float32": (
        bad("fp32", located=broken(phase="backward", dtype="float32", exact=1e50)),
        {},
        "overflow-in-every-precision",
    ),
    "the loss explodes unless the rate is lower": (
        bad("bf16", steps=(step(0, 4.0), step(1, 9e9), *NOT_FINITE), experiments={"rate-0.01": True}, adapters=HALF),
        {},
        "exploding-rate",
    ),
    "float32 breaks before the loss grows, unless the rate is lower": (
        bad(
            "fp32",
            steps=(step(0, 4.0), step(1, 3.9), *NOT_FINITE),
            experiments={"rate-0.01": True},
            located=broken(dtype="float32", exact=None),
        ),
        {},
        "exploding-rate",
    ),
    "half precision overflows after the loss fell, unless the rate is lower": (
        bad(
            "fp16-unscaled",
            steps=(step(0, 4.0), step(1, 3.9), *NOT_FINITE),
            experiments={"rate-0.01": True},
            located=broken(),
        ),
        {},
        "forward-overflow",
    ),
    "a half result is not finite at 0, and float32 fails too": (
        bad("fp16-amp", located=broken(exact=None, zeros=True)),
        {"recipes": (recipe("fp32", steps=NOT_FINITE), bad("fp16-amp", located=broken(exact=None, zeros=True)))},
        "undefined-operation",
    ),
    "a label is no class": (raised("Target 7 is out of bounds.", type="IndexError"), {}, "index-out-of-range"),
    "a cross entropy counts no label": (
        bad("fp32", located=broken(op="nll_loss_forward", dtype="float32", exact=None)),
        {},
        "all-labels-ignored",
    ),
    "a softmax gets a row of -inf": (
        bad("fp32", located=broken(op="_softmax", dtype="float32", exact=None, hidden_rows=1)),
        {},
        "fully-masked-row",
    ),
    "a checkpointed block leaves parameters without gradients": (
        recipe("fp32", steps=(step(0, 4.5, gradients=gradients(missing=2)),), checkpointed=("Block",)),
        {},
        "reentrant-checkpointing",
    ),
    "eps is half of float16's smallest number": (
        recipe("fp16-unscaled", steps=POISONED, adapters=HALF.model_copy(update={"eps": 2.0**-25})),
        {},
        "half-parameters-under-adam",
    ),
    "the scale starts at the smallest huge one": (recipe("fp16-amp", steps=frozen(2.0**30)), {}, "scale-too-large"),
    "the second loss is not finite, and clipping helps": (
        bad("bf16", steps=(step(0, 4.0), *NOT_FINITE), experiments=CLIPPED),
        {},
        "exploding-rate",
    ),
    "the loss falls once before it explodes": (
        bad("bf16", steps=(step(0, 4.0), step(1, 3.9), step(2, 9e9), *NOT_FINITE), experiments=CLIPPED),
        {},
        "exploding-rate",
    ),
    "bfloat16 overflows around a nested float16 autocast": (
        bad("bf16-in-fp16-autocast", located=broken(dtype="bfloat16", exact=1e39)),
        {},
        "forward-overflow",
    ),
    "bfloat16 overflows with a bfloat16 checkpoint": (
        bad("bf16", located=broken(dtype="bfloat16", exact=1e39)),
        {"inspection": inspected(stored="bfloat16")},
        "forward-overflow",
    ),
    "a tenth of the gradients vanish": (recipe("fp16-unscaled", vanished=0.1), {}, "gradients-underflow"),
    "one operation gets both half precisions": (
        raised("expected mat1 and mat2 to have the same dtype, but got: c10::BFloat16 != c10::Half"),
        {},
        "autocast-dtype-clash",
    ),
    "gradients are 0, and those of a layer that the first step does not use are missing there": (
        recipe("bf16", steps=PARTLY_DEAD, moved=0.0),
        {"recipes": (recipe("fp32", steps=DEAD), recipe("bf16", steps=PARTLY_DEAD, moved=0.0))},
        "gradients-all-zero",
    ),
    "a parameter gets no gradient at the first step, and nothing moved at all": (
        recipe("fp32", moved=0.0, steps=(step(0, 4.5, gradients=gradients(missing=2)), *falling()[1:])),
        {},
        "parameters-not-in-optimizer",
    ),
    "an id is too large, and nothing was read of the model": (
        raised("index out of range in self", type="IndexError"),
        {"inspection": None},
        "index-out-of-range",
    ),
    "one step changes too little of the adapters": (recipe("bf16", adapters=moving(0.44)), {}, "updates-too-small"),
}


@pytest.mark.parametrize("name", list(AT_THE_LIMIT))
def test_facts_at_the_limit_of_a_cause_still_show_it(name: str) -> None:
    run, facts, expected = AT_THE_LIMIT[name]
    assert cause_of(run, **facts) == expected


def description_of(run: RecipeRun, **facts: Any) -> str:  # noqa: ANN401
    cause = diagnose(run, probe_run(run, **facts))
    assert cause is not None
    return cause.description


def test_an_overflow_is_described_with_its_size() -> None:
    run, facts = CASES["forward-overflow"]
    assert description_of(run, **facts) == (
        "the result of mul in layers.2.mlp is 6.698e+04 (inputs up to 255.9 and 261.8), but float16's largest number is"
        " 65504"
    )


def test_a_peft_that_creates_half_adapters_is_named_and_a_newer_one_is_not() -> None:
    run, facts = CASES["unscale-half-parameters"]
    assert "peft 0.10.0 creates adapters in the dtype of the base model" in description_of(run, **facts)
    newer = (ImportedPackage(package="peft", version="0.21.2", file=None, seconds=1.0),)
    assert "peft" not in description_of(run, imports=newer)


def test_a_torch_whose_sdpa_returns_nan_is_named_and_a_newer_one_is_not() -> None:
    run, facts = CASES["fully-masked-row"]
    assert "sdpa of torch 2.0 to 2.4 returns NaN" in description_of(run, **facts)
    newer = (ImportedPackage(package="torch", version="2.5.1", file=None, seconds=1.0),)
    assert "sdpa" not in description_of(run, **{**facts, "imports": newer})


@pytest.mark.parametrize("device", [CPU_DEVICE, cuda_device()])
def test_causes_do_not_depend_on_the_device(device: Any) -> None:  # noqa: ANN401
    for name, (run, facts) in CASES.items():
        assert cause_of(run, device=device, **facts) == name


def test_the_documentation_lists_the_remedy_of_each_cause() -> None:
    page = Path(noxfile.__file__).with_name("docs").joinpath("probe.md").read_text(encoding="utf-8")
    for name, remedy in pages().items():
        assert f"| `{name}` | {remedy} |" in page


@pytest.mark.parametrize(
    ("version", "is_named"), [("0.6.2", False), ("0.7.0", True), ("0.11.1", True), ("0.12.0", False), ("dev", False)]
)
def test_half_adapters_are_blamed_on_the_peft_versions_that_create_them(version: str, is_named: bool) -> None:
    imports = (ImportedPackage(package="peft", version=version, file=None, seconds=1.0),)
    run, _ = CASES["half-parameters-under-adam"]
    description = description_of(run, imports=imports)
    assert description.endswith("as all of 0.7 to 0.11 do" if is_named else "an update can divide by 0")


def test_half_adapters_on_float32_weights_are_not_blamed_on_peft() -> None:
    run = recipe("fp16-amp", steps=POISONED, adapters=HALF)
    assert "peft" not in description_of(run, **PEFT)


@pytest.mark.parametrize(("experiments", "is_confirmed"), [({"float32-adapters": True}, True), ({}, False)])
def test_half_parameters_are_confirmed_by_the_experiment_with_float32_adapters(
    experiments: dict[str, bool], is_confirmed: bool
) -> None:
    run, _ = CASES["half-parameters-under-adam"]
    description = description_of(run.model_copy(update={"experiments": experiments}))
    assert ("with float32 adapters, training does not fail" in description) is is_confirmed


@pytest.mark.parametrize(("name", "is_nested"), [("bf16-in-fp16-autocast", True), ("fp16-scaled", False)])
def test_two_half_precisions_are_blamed_on_a_nested_autocast_only_if_there_is_one(name: str, is_nested: bool) -> None:
    message = "Unexpected floating ScalarType in at::autocast::prioritize"
    ending = ": a nested float16 autocast runs on bfloat16 weights" if is_nested else "float16 and bfloat16 tensors"
    assert description_of(raised(message, name)).endswith(ending)


@pytest.mark.parametrize(
    ("version", "is_named"), [("1.13.1", False), ("2.0.0", True), ("2.4.1", True), ("2.5.0", False)]
)
def test_sdpa_is_named_for_the_torch_versions_that_return_nan(version: str, is_named: bool) -> None:
    run, facts = CASES["fully-masked-row"]
    imports = (ImportedPackage(package="torch", version=version, file=None, seconds=1.0),)
    description = description_of(run, **{**facts, "imports": imports})
    assert description.endswith("that of torch 2.5 does not" if is_named else "a softmax over nothing is NaN")
