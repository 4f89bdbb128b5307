"""Loss scaling that contradicts the dtype.

**What it does.** Reports scalers over bfloat16 (also that of mmengine's `AmpOptimWrapper`) or over float16 weights that
are trained as a whole, float16 without a scaler (also where only the base under adapters is float16), and calls of the
scaler that are missing, too frequent, for another optimizer or in the wrong order. An option that can choose float16,
for a region or for FSDP, needs a scaler, too. Losses that the loop and the engine both divide by the steps of
accumulation are reported, `loss.backward()` in a module that Lightning runs in float16, a scaler that is enabled for bfloat16 only, or made whatever the
dtype is, updates between the steps of several optimizers, a scaler of torch beside DeepSpeed's engine, a scaler that each epoch makes anew (a note),
and fp16 for adapters on a quantized base, which trl casts to bfloat16 from 0.26 on. It judges the places where the scaler is used, not its construction.

**Why is this bad.** float16 loses small gradients (7 % become zero without scaling, 0 % with it, measured), so it needs
a scaler. bfloat16 has the exponent of float32 and needs none. A scaler over bfloat16 gradients raises
NotImplementedError on CUDA and works on a CPU, so a test on a CPU does not show it. A scaler over float16 weights that
are trained raises "Attempting to unscale FP16 gradients". float16 without a scaler makes every trainable tensor NaN at
the first overflow, because nothing skips that step.

**Example**

    scaler = torch.cuda.amp.GradScaler(enabled=config.fp16)    # config.fp16 only says "mixed precision"
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = model(batch)
    scaler.scale(loss).backward()

    with torch.autocast("cuda", dtype=torch.float16):          # float16, and no scaler anywhere
        loss = model(batch)
    loss.backward()
    optimizer.step()

**Use instead**

    scaler = torch.cuda.amp.GradScaler(enabled=False)  # bfloat16 needs no loss scaling

    with torch.autocast("cuda", dtype=torch.bfloat16):         # or float16 with a scaler: scale, step, update
        loss = model(batch)
    loss.backward()
    optimizer.step()

**How to fix.** Turn the scaler off under bfloat16: every `scaler.*` call stays valid. Under float16 use it completely:
scale, backward, unscale, clip, step, update. To keep it, add `# vc2doctor: ignore[VC104]` to the line that the finding
names. The class exists since torch 1.6, as `torch.amp.GradScaler` since 2.3.

**Quiet.** No finding when every use is in a branch that bfloat16 does not take, when the scaler is disabled, for
float16 with a complete scaler, for options whose choices leave float16 out, and in functions that only measure: no optimizer steps there or in a caller.

**References**

* https://github.com/pytorch/pytorch/issues/127176
* https://docs.pytorch.org/docs/stable/notes/amp_examples.html
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import Region, dtype_names
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.loss_scaling import (
    compute_dtypes,
    is_of_plain_loss,
    is_scaled,
    only_measures,
    scale_calls,
    scaler_follows_dtype,
    scalers_of,
)
from vc2doctor.linter.analyse.precision_branches import float16_branch
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.scalers import Scaler
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.detectors.accelerate_optimizers import unscaled_with_others
from vc2doctor.linter.detectors.divided_twice import divided_twice
from vc2doctor.linter.detectors.engine_scaler import scaler_beside_engine
from vc2doctor.linter.detectors.lightning_backward import unscaled_lightning_backward
from vc2doctor.linter.detectors.prepared_wrappers import prepared_wrappers
from vc2doctor.linter.detectors.quantized_adapters import quantized_adapters
from vc2doctor.linter.detectors.scaler_choices import scalers_beside_choices
from vc2doctor.linter.detectors.scaler_protocol import (
    apex_clipped_while_scaled,
    apex_without_initialize,
    scaler_protocol,
)
from vc2doctor.linter.detectors.scaler_rhythm import scaler_made_anew, scaler_of_each_epoch
from vc2doctor.linter.detectors.scaler_updates import updated_for_each_optimizer
from vc2doctor.linter.detectors.self_cast_models import scaled_self_casts
from vc2doctor.linter.detectors.trained_dtype import scaled_bfloat16
from vc2doctor.linter.detectors.unprepared import unprepared_optimizers
from vc2doctor.linter.detectors.unscaled_bases import unscaled_bases
from vc2doctor.linter.detectors.unscaled_choices import unscaled_choice
from vc2doctor.linter.detectors.unscaled_sharding import unscaled_sharding
from vc2doctor.linter.detectors.wrapped_scaler import float16_wrapper, wrapped_scaler
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call
from vc2doctor.linter.to_bfloat16 import disable_scaler

_SCALER_URL = "https://github.com/pytorch/pytorch/issues/127176"


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield scalers that are used with bfloat16, and float16 loops without a scaler."""
    for unit in facts.code.units.values():
        yield from _scalers_against_dtypes(facts, unit)
        yield from unscaled_sharding(facts, unit)
        for loop in facts.loops.of(unit):
            yield from _unscaled_branch(facts, loop)
            yield from scaler_protocol(facts, loop)
            yield from scaler_made_anew(facts, loop)
            yield from scaler_of_each_epoch(facts, loop)
            yield from unprepared_optimizers(facts, loop)
            yield from prepared_wrappers(facts, loop)
            yield from _forgotten_state(facts, loop)
            yield from unscaled_choice(facts, loop)
            yield from divided_twice(facts, unit, loop)
            yield from scaler_beside_engine(facts, loop)
            yield from unscaled_with_others(facts, loop)
        for module in unit.modules:
            if "scale_loss" in module.source.text and not is_inference_path(module.name):
                yield from apex_without_initialize(facts, module, unit.calls.get("initialize", []))
                yield from apex_clipped_while_scaled(module)
        for config in unit.configs:
            yield from float16_wrapper(config)
            yield from wrapped_scaler(facts, config)
    yield from scaled_bfloat16(facts)
    yield from unscaled_lightning_backward(facts)
    yield from scalers_beside_choices(facts)
    yield from scaled_self_casts(facts)
    yield from updated_for_each_optimizer(facts)
    yield from unscaled_bases(facts)
    yield from quantized_adapters(facts)


def _scalers_against_dtypes(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield scalers that are used with bfloat16, and the backward passes of float16 loops without a scaler."""
    useless: dict[Scaler, list[Call]] = {}
    for loop in facts.loops.of(unit):
        dtypes = compute_dtypes(facts, unit, loop)
        uses = scale_calls(facts, loop)
        if dtypes == {BFLOAT16} and uses:
            for scaler in scalers_of(facts, unit, loop):
                useless.setdefault(scaler, []).extend(uses)
        elif FLOAT16 in dtypes and not uses:
            yield from _missing_scaling(facts, loop, is_certain=dtypes == {FLOAT16})
    for scaler, uses in useless.items():
        if scaler.enabled != {False} and not scaler_follows_dtype(facts, scaler):
            yield _useless_scaler(facts, scaler, uses)


def _useless_scaler(facts: Facts, scaler: Scaler, uses: list[Call]) -> CodeFinding:
    locations = ", ".join(build.place_of(call.place.module, call.node).location for call in uses)
    edits = disable_scaler(facts, scaler)
    return build.at_node(
        scaler.call.place.module,
        scaler.call.node,
        "VC104",
        Severity.WARNING,
        "the loss is scaled, and the model computes in bfloat16, which needs no scaling",
        evidence=(
            f"used at {locations}",
            "on CUDA a scaler raises NotImplementedError as soon as one trainable parameter is bfloat16; it needs float32 trainables",
        ),
        remedy=f"Enable it for float16 only: {scaler.call.name}(enabled=False) keeps every call of the scaler valid.",
        url=_SCALER_URL,
        role="scaler",
        if_missed="training works while every trainable parameter is float32; on CUDA bfloat16 gradients raise",
        bf16_edits=edits,
        unsafe_edits=edits,
    )


def _missing_scaling(facts: Facts, loop: Loop, *, is_certain: bool) -> Iterator[CodeFinding]:
    """Yield the backward passes of a float16 loop that run on an unscaled loss."""
    regions = [region for region in loop.regions if not region.autocast.is_disabled]
    if not regions or is_scaled(facts, loop) or only_measures(facts, loop):
        return
    if not is_certain and any(_is_chosen_by_device(region) for region in regions):
        # float16 is for another kind of device there (MPS): on CUDA the region is bfloat16.
        return
    for call in loop.backwards:
        if is_of_plain_loss(call) and facts.values.is_reached(call.place) is not False:
            yield _unscaled_backward(call, regions, is_certain=is_certain)


def _is_chosen_by_device(region: Region) -> bool:
    """Return whether a condition chooses the dtype by the device: ``bfloat16 if device.type == "cuda" else float16``."""
    dtype = region.autocast.dtype_argument
    return isinstance(dtype, ast.IfExp) and "device" in ast.unparse(dtype.test)


def _unscaled_branch(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield plain backward passes in a branch that a precision key set to float16 selects."""
    for call in loop.backwards:
        branch = float16_branch(facts, call.place) if is_of_plain_loss(call) else None
        if branch is not None:
            yield build.at_node(
                call.place.module,
                call.node,
                "VC104",
                Severity.WARNING,
                "the run's own key selects this branch for float16, and the loss is not scaled here: "
                "small gradients become zero",
                evidence=(f"{build.code(branch.key)} is float16 in a configuration or by default",),
                remedy="Select the branch with autocast and a scaler, or keep the weights in float32 or bfloat16.",
                url=build.AMP_EXAMPLES_URL,
                role="scaler",
            )


def _forgotten_state(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield the load of an optimizer's state in a loop's function that never loads the state of its scaler."""
    module = loop.function.module
    if not scale_calls(facts, loop) or "scaler.load_state_dict" in module.source.text:
        return
    for call in module.calls_in(loop.function):
        if call.name == "load_state_dict" and "optim" in ast.unparse(call.receiver).lower():
            yield build.at_node(
                module,
                call.node,
                "VC104",
                Severity.NOTE,
                "a resumed run restores the optimizer and not the scaler: its scale starts again at 65536",
                remedy="Save scaler.state_dict(), and load it here: scaler.load_state_dict(checkpoint['scaler']).",
                url=build.AMP_EXAMPLES_URL,
                role="scaler",
            )
            return


def _unscaled_backward(backward: Call, regions: list[Region], *, is_certain: bool) -> CodeFinding:
    region = next((region for region in regions if FLOAT16 in region.dtypes), regions[0])
    place = build.place_of(region.place.module, region.call.node)
    return build.at_node(
        backward.place.module,
        backward.node,
        "VC104",
        Severity.ERROR if is_certain else Severity.WARNING,
        f"the loop {'computes' if is_certain else 'can compute'} in float16 without loss scaling: small gradients become zero, and the first overflow makes every trainable tensor NaN",
        evidence=(f"the forward pass computes in {dtype_names(region.dtypes)}: {place.location}",),
        also=(place,) if region.place.function is not backward.place.function else (),
        remedy="Compute in bfloat16 (Ampere or newer), or scale: scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update().",
        url=build.AMP_EXAMPLES_URL,
        role="scaler",
    )
