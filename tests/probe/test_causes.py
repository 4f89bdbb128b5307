"""Every named cause: facts that decide it, and similar facts that do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import noxfile
from tests.facts import CPU_DEVICE, cuda_device, failed, failure, probe_run, recipe, step
from vc2doctor.probe.causes import CAUSES, diagnose, pages
from vc2doctor.probe.facts import (
    Adapters,
    BreakLocation,
    BrokenOperation,
    Gradients,
    ImportedPackage,
    Inspection,
    RecipeRun,
)

CLEAN = Inspection(targets=(20, 14), masked_rows=0, bad_input=None, bad_weight=None, attention=None)
HALF = Adapters(dtypes=("float16",), tensors=1, elements=1, optimizer="AdamW", learning_rate=2e-5, eps=1e-8)
POISONED = (step(0, 4.5, parameters_finite=False),)
NOT_FINITE = (step(0, None, parameters_finite=False),)
FROZEN = tuple(step(number, 4.5, taken=False, scale=2.0**40) for number in range(18))
Facts = dict[str, Any]


def inspected(**fields: Any) -> Inspection:  # noqa: ANN401
    return CLEAN.model_copy(update=fields)


def broken(**fields: Any) -> BreakLocation:  # noqa: ANN401
    defaults: Facts = {"phase": "forward", "module": "layers.2.mlp", "op": "mul", "dtype": "float16", "exact": 66975.0}
    operation = BrokenOperation(**{**defaults, "largest": (255.9, 261.8), "ignored_rows_only": False, **fields})
    return BreakLocation(step=0, phase=operation.phase, broken=operation, parameter=None)


def gradients(**counts: Any) -> Gradients:  # noqa: ANN401
    return Gradients(**{"tensors": 10, "missing": 0, "non_finite": 0, "zero": 0, **counts})


def raised(message: str, name: str = "fp16-scaled", **fields: Any) -> RecipeRun:  # noqa: ANN401
    return failed(name, failure(message, **fields))


def bad(name: str, **fields: Any) -> RecipeRun:  # noqa: ANN401
    return recipe(name, **{"steps": NOT_FINITE, **fields})


OVERFLOWING = step(0, 4.5, gradients=gradients(non_finite=3))
PEFT = {"imports": (ImportedPackage(package="peft", version="0.10.0", file=None, seconds=1.0),)}
OLD_TORCH = {"imports": (ImportedPackage(package="torch", version="2.4.1+cu121", file=None, seconds=1.0),)}

CASES: dict[str, tuple[RecipeRun, Facts]] = {
    "data-not-finite": (bad("fp32"), {"inspection": inspected(bad_input="pixel_values")}),
    "weight-not-finite": (bad("fp32"), {"inspection": inspected(bad_weight="lm_head.weight")}),
    "all-labels-ignored": (bad("fp32"), {"inspection": inspected(targets=(20, 0))}),
    "unscale-half-parameters": (raised("Attempting to unscale FP16 gradients.", type="ValueError"), PEFT),
    "autocast-dtype-clash": (raised("Unexpected floating ScalarType in at::autocast::prioritize"), {}),
    "dtype-mismatch": (raised("mat1 and mat2 must have the same dtype, but got Float and Half"), {}),
    "nothing-trainable": (raised("optimizer got an empty parameter list", type="ValueError"), {}),
    "half-parameters-under-adam": (recipe("fp16-unscaled", steps=POISONED, adapters=HALF), PEFT),
    "scale-driven-to-zero": (bad("fp16-amp", steps=(step(0, 4.5, scale=0.0), *NOT_FINITE)), {}),
    "scale-too-large": (recipe("fp16-amp", steps=FROZEN), {}),
    "exploding-rate": (
        bad("bf16", steps=(step(0, 4.0), step(1, 9e9), *NOT_FINITE), experiments={"clip-1.0": True}, adapters=HALF),
        {},
    ),
    "fully-masked-row": (
        bad("fp32", located=broken(op="_softmax", dtype="float32", exact=None)),
        {"inspection": inspected(masked_rows=1), **OLD_TORCH},
    ),
    "overflow-in-ignored-rows": (bad("fp16-unscaled", located=broken(ignored_rows_only=True)), {}),
    "nested-autocast-overrides": (bad("bf16-in-fp16-autocast", located=broken()), {}),
    "bfloat16-checkpoint-in-float16": (
        bad("fp16-scaled", located=broken()),
        {"inspection": inspected(stored="bfloat16")},
    ),
    "forward-overflow": (bad("fp16-scaled", located=broken()), {"inspection": CLEAN}),
    "backward-overflow": (recipe("fp16-unscaled", steps=(OVERFLOWING,)), {}),
    "overflow-in-every-precision": (bad("fp32", located=broken(dtype="float32", exact=1e50, largest=(1e25,))), {}),
    "undefined-operation": (bad("fp32", located=broken(op="log", dtype="float32", exact=None, largest=(0.0,))), {}),
    "float16-checkpoint-in-bfloat16": (
        recipe("bf16", steps=(step(0, 5.5), step(1, 5.6))),
        {"inspection": inspected(stored="float16")},
    ),
    "gradients-underflow": (recipe("fp16-unscaled", vanished=0.9), {}),
    "untouched-parameters": (
        recipe("bf16", steps=(step(0, 4.5, gradients=gradients(missing=2, first_missing="added.weight")),)),
        {},
    ),
    "parameters-not-in-optimizer": (recipe("fp32", moved=0.0), {}),
    "updates-too-small": (recipe("bf16", moved=0.02), {}),
}


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


SIMILAR: dict[str, tuple[RecipeRun, Facts]] = {
    "an exception is not blamed on the data": (
        raised("index out of range"),
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
}


@pytest.mark.parametrize("name", list(SIMILAR))
def test_a_cause_without_evidence_stays_unknown(name: str) -> None:
    run, facts = SIMILAR[name]
    assert cause_of(run, **facts) is None


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


def test_a_float16_region_inside_the_model_is_told_apart_from_a_nested_one_of_the_recipe() -> None:
    assert "the model's own code enters a float16 autocast" in description_of(bad("bf16-amp", located=broken()))
    assert "overrides the outer bfloat16" in description_of(bad("bf16-in-fp16-autocast", located=broken()))


def test_an_exploding_loss_without_facts_on_the_optimizer_is_described_without_its_rate() -> None:
    run, _ = CASES["exploding-rate"]
    assert "learning rate" not in description_of(run.model_copy(update={"adapters": None}))


@pytest.mark.parametrize("device", [CPU_DEVICE, cuda_device()])
def test_causes_do_not_depend_on_the_device(device: Any) -> None:  # noqa: ANN401
    for name, (run, facts) in CASES.items():
        assert cause_of(run, device=device, **facts) == name


def test_the_documentation_lists_the_remedy_of_each_cause() -> None:
    page = Path(noxfile.__file__).with_name("docs").joinpath("probe.md").read_text(encoding="utf-8")
    for name, remedy in pages().items():
        assert f"| `{name}` | {remedy} |" in page
