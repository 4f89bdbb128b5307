"""Every named cause: the facts that decide it, and the nearest ones that do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import noxfile
from tests.facts import CPU_DEVICE, cuda_device, failed, failure, probe_run, recipe, step
from vc2doctor.probe.causes import CAUSES, pages
from vc2doctor.probe.diagnosis import diagnose
from vc2doctor.probe.facts import (
    Adapters,
    BreakLocation,
    BrokenOperation,
    Gradients,
    ImportedPackage,
    Inspection,
    RecipeRun,
)

FINE = Inspection(targets=(20, 14), masked_rows=0, bad_input=None, bad_weight=None, attention=None)
HALF = Adapters(dtypes=("float16",), tensors=1, elements=1, optimizer="AdamW", learning_rate=2e-5, eps=1e-8)
POISONED = (step(0, 4.5, parameters_finite=False),)
NOT_FINITE = (step(0, None, parameters_finite=False),)
STILL = tuple(step(number, 4.5, taken=False, scale=2.0**40) for number in range(18))
Facts = dict[str, Any]


def inspected(**fields: Any) -> Inspection:  # noqa: ANN401
    return FINE.model_copy(update=fields)


def broken(**fields: Any) -> BreakLocation:  # noqa: ANN401
    told: Facts = {"phase": "forward", "module": "layers.2.mlp", "op": "mul", "dtype": "float16", "exact": 66975.0}
    seen = BrokenOperation(**{**told, "largest": (255.9, 261.8), "ignored_rows_only": False, **fields})
    return BreakLocation(step=0, phase=seen.phase, broken=seen, parameter=None)


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
    "scale-too-large": (recipe("fp16-amp", steps=STILL), {}),
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
    "forward-overflow": (bad("fp16-scaled", located=broken()), {"inspection": FINE}),
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


def cause(run: RecipeRun, **facts: Any) -> str | None:  # noqa: ANN401
    found = diagnose(run, probe_run(run, **facts))
    return found.id if found else None


@pytest.mark.parametrize("name", list(CASES))
def test_what_decides_a_cause(name: str) -> None:
    run, facts = CASES[name]
    assert cause(run, **facts) == name


def test_every_cause_has_a_case_and_says_what_mends_it() -> None:
    assert {test.__name__.replace("_", "-") for test in CAUSES} == set(CASES)
    for run, facts in CASES.values():
        found = diagnose(run, probe_run(run, **facts))
        assert found is not None
        assert found.remedy.endswith(".")
        assert "\n" not in found.remedy
        assert not found.description.endswith("."), "it is joined to other words"


NEAR: dict[str, tuple[RecipeRun, Facts]] = {
    "a raised error is not the data's, whatever the data": (
        raised("index out of range"),
        {"inspection": inspected(bad_input="x", bad_weight="y", targets=(0,), masked_rows=1)},
    ),
    "a masked row where another operation broke": (
        bad("fp32", located=broken(op="mm", dtype="float32", exact=1.0)),
        {"inspection": inspected(masked_rows=1)},
    ),
    "an operation that a wider dtype keeps below the limit": (
        bad("fp16-scaled", located=broken(exact=9.0)),
        {},
    ),
    "float32 parameters that are poisoned": (recipe("fp16-unscaled", steps=POISONED), {}),
    "an eps that float16 holds": (
        recipe("fp16-unscaled", steps=POISONED, adapters=HALF.model_copy(update={"eps": 1e-6})),
        {},
    ),
    "another optimiser": (
        recipe("fp16-unscaled", steps=POISONED, adapters=HALF.model_copy(update={"optimizer": "SGD"})),
        {},
    ),
    "a loss that explodes and is not mended by clipping": (bad("bf16", steps=(step(0, 4.0), *NOT_FINITE)), {}),
    "nothing at all is known": (bad("bf16"), {}),
}


@pytest.mark.parametrize("near", list(NEAR))
def test_unknown_stays_unknown(near: str) -> None:
    run, facts = NEAR[near]
    assert cause(run, **facts) is None


def told(run: RecipeRun, **facts: Any) -> str:  # noqa: ANN401
    found = diagnose(run, probe_run(run, **facts))
    assert found is not None
    return found.description


def test_the_overflow_says_how_large_it_is() -> None:
    run, facts = CASES["forward-overflow"]
    assert told(run, **facts) == (
        "mul in layers.2.mlp exceeds float16's 65504: it is 6.698e+04 (inputs up to 255.9 and 261.8)"
    )


def test_the_peft_that_makes_half_adapters_is_named_and_another_is_not() -> None:
    run, facts = CASES["unscale-half-parameters"]
    assert "peft 0.10.0 makes adapters in the dtype of the base model" in told(run, **facts)
    other = (ImportedPackage(package="peft", version="0.21.2", file=None, seconds=1.0),)
    assert "peft" not in told(run, imports=other)


def test_the_torch_whose_sdpa_makes_nan_is_named_and_another_is_not() -> None:
    run, facts = CASES["fully-masked-row"]
    assert "sdpa of torch 2.0 to 2.4 makes NaN" in told(run, **facts)
    new = (ImportedPackage(package="torch", version="2.5.1", file=None, seconds=1.0),)
    assert "sdpa" not in told(run, **{**facts, "imports": new})


def test_a_float16_region_of_the_models_own() -> None:
    assert "the model's own code enters a float16 autocast" in told(bad("bf16-amp", located=broken()))
    assert "overrides the outer bfloat16" in told(bad("bf16-in-fp16-autocast", located=broken()))


@pytest.mark.parametrize("device", [CPU_DEVICE, cuda_device()])
def test_causes_do_not_depend_on_the_device(device: Any) -> None:  # noqa: ANN401
    for name, (run, facts) in CASES.items():
        assert cause(run, device=device, **facts) == name


def test_the_documentation_says_what_mends_each_cause() -> None:
    page = Path(noxfile.__file__).with_name("docs").joinpath("probe.md").read_text(encoding="utf-8")
    for name, remedy in pages().items():
        assert f"| `{name}` | {remedy} |" in page
