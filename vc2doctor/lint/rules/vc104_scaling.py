"""Loss scaling that contradicts the dtype, judged where the scaler is used.

**Why.** float16 loses small gradients (7 % flushed to zero without scaling, 0 % with), so it needs a scaler; bfloat16
has the exponent of float32 and needs none. A scaler over bfloat16 *gradients* raises on CUDA
(`_amp_foreach_non_finite_check_and_unscale_cuda` not implemented, pytorch#127176) and passes on a CPU, so a test there
does not show it; over float16 *weights* that are trained it raises "Attempting to unscale FP16 gradients". float16
without a scaler poisons every trainable tensor with the first overflow, because nothing skips that step.

**Bad**

    scaler = torch.cuda.amp.GradScaler(enabled=config.fp16)    # config.fp16 only says "mixed precision"
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = model(batch)
    scaler.scale(loss).backward()

**Good**

    scaler = torch.cuda.amp.GradScaler(enabled=False)  # bfloat16 needs no loss scaling

**Quiet** when every use is branched away for bfloat16, when the scaler is disabled, and for float16 as it should be.

**Silence** the line of the construction with `# vc2doctor: ignore[VC104]`.

**Since** torch 1.6; `torch.amp.GradScaler` since 2.3.
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.lint.code import Unit
from vc2doctor.lint.model import CodeFinding, Edit
from vc2doctor.lint.module import Call, last_name, root_name
from vc2doctor.lint.precision import Loop, Region, Scaler, told
from vc2doctor.lint.rules import making
from vc2doctor.lint.stage import Stage, infers_by_path, words
from vc2doctor.lint.values import BFLOAT, HALF, Value
from vc2doctor.lint.weights import Facts

_OWN_SCALING = {"accelerator", "engine", "fabric", "trainer"}
_NEEDS = "https://github.com/pytorch/pytorch/issues/127176"


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find scalers over bfloat16, and float16 loops without one."""
    for unit in facts.code.units.values():
        useless: dict[int, tuple[Scaler, list[Call]]] = {}
        for loop in facts.loops_of(unit):
            dtypes = computes_in(facts, unit, loop)
            uses = scaling(facts, loop)
            if dtypes == {BFLOAT} and uses:
                for scaler in scalers_of(facts, unit, loop):
                    useless.setdefault(id(scaler), (scaler, []))[1].extend(uses)
            elif dtypes == {HALF} and not uses:
                yield from _missing(facts, loop)
        yield from _wrappers(unit)
        for scaler, uses in useless.values():
            if scaler.enabled != {False} and not _follows_the_dtype(facts, scaler):
                yield _useless(facts, scaler, uses)


def _wrappers(unit: Unit) -> Iterator[CodeFinding]:
    """Find mmengine's ``AmpOptimWrapper`` without dtype, which is float16 and scales, around bfloat16 weights."""
    for config in unit.configs:
        weights = [
            entry for entry in config.entries if entry.key.endswith("torch_dtype") and entry.value == "torch.bfloat16"
        ]
        scale = config.find("optim_wrapper.loss_scale")
        if infers_by_path(config.name):
            continue
        if weights and scale is not None and scale.value == "dynamic" and config.find("optim_wrapper.dtype") is None:
            yield making.at_entry(
                config,
                scale,
                "VC104",
                Severity.WARNING,
                "the optimiser wrapper has no dtype, so it computes in float16 and scales the loss, and the weights are bfloat16",
                evidence=(f"torch_dtype=torch.bfloat16 at {config.name}:{weights[0].line}",),
                remedy='Give the wrapper dtype="bfloat16".',
                url="https://github.com/InternLM/xtuner/issues/960",
                role="scaler",
            )


def computes_in(facts: Facts, unit: Unit, loop: Loop) -> frozenset[Value]:
    """Return what a loop's forward pass computes in: by its own regions, else its callers', else the unit's models'."""
    own = [
        region
        for region in loop.regions
        if facts.values.reached(region.place) is not False and region.autocast.enabled != {False}
    ]
    if own:
        return frozenset(value for region in own for value in region.dtypes)
    calling = _calling(facts, unit, loop)
    if calling:
        return frozenset(value for region in calling for value in region.dtypes)
    inner = [
        region
        for region in facts.regions
        if region.stage is Stage.TRAINS
        and region.helper is not None
        and facts.code.unit_of(region.place.module) is unit
    ]
    reach = facts.code.reach(loop.function.module)
    imported = [region for region in inner if id(region.place.module) in reach]
    return frozenset(value for region in imported or inner for value in region.dtypes)


def _calling(facts: Facts, unit: Unit, loop: Loop) -> list[Region]:
    """Return the regions of functions that leave the backward pass to a scaler's wrapper: ``loss_scaler(loss, …)``."""
    if loop.function.name != "__call__":
        return []
    users = {
        id(call.place.function)
        for name, calls in unit.calls.items()
        if "scaler" in words(name) and name != "GradScaler"
        for call in calls
        if isinstance(call.node.func, ast.Name)
    }
    return [
        region
        for region in facts.regions
        if region.stage is Stage.TRAINS and not region.autocast.off and id(region.place.function) in users
    ]


def scaling(facts: Facts, loop: Loop) -> list[Call]:
    """Return the loop's calls of ``scaler.scale`` that can be reached."""
    return [
        call
        for call in loop.function.module.calls
        if call.place.function is loop.function
        and call.name == "scale"
        and _is_scaler(call)
        and facts.values.reached(call.place) is not False
    ]


def _is_scaler(call: Call) -> bool:
    return isinstance(call.node.func, ast.Attribute) and "scaler" in words(last_name(call.node.func.value))


def scalers_of(facts: Facts, unit: Unit, loop: Loop) -> list[Scaler]:
    """Return the constructions that a loop's scaler can come from: those of modules it imports, if any."""
    mine = [scaler for scaler in facts.scalers if facts.code.unit_of(scaler.call.place.module) is unit]
    near = facts.code.reach(loop.function.module)
    close = [scaler for scaler in mine if id(scaler.call.place.module) in near]
    return close or mine


def _useless(facts: Facts, scaler: Scaler, uses: list[Call]) -> CodeFinding:
    at = ", ".join(making.place(call.place.module, call.node).told for call in uses)
    return making.at(
        scaler.call.place.module,
        scaler.call.node,
        "VC104",
        Severity.WARNING,
        "the loss is scaled, and the model computes in bfloat16, which needs no scaling",
        evidence=(
            f"used at {at}",
            "on CUDA a scaler raises NotImplementedError as soon as one trainable parameter is bfloat16; it needs float32 trainables",
        ),
        remedy="Enable it for float16 only: GradScaler(enabled=False) keeps every scaler.* call valid.",
        url=_NEEDS,
        role="scaler",
        if_missed="finite while every trainable parameter is float32; on CUDA bfloat16 gradients raise",
        bf16=disable(facts, scaler),
        unsafe=disable(facts, scaler),
    )


def _follows_the_dtype(facts: Facts, scaler: Scaler) -> bool:
    """Say whether ``enabled=`` asks for float16 itself: ``dtype == "float16"``, or a key that is not the switch."""
    enabled = scaler.call.argument("enabled")
    text = ast.unparse(enabled) if enabled is not None else ""
    return (
        "float16" in text
        or "bf16" in text
        or "bfloat16" in text
        or (enabled is not None and facts.values.decide(enabled, scaler.call.place) is False)
    )


def disable(facts: Facts, scaler: Scaler) -> tuple[Edit, ...]:
    """Return the edits that turn a scaler off for bfloat16; one that follows the dtype itself needs none."""
    if _follows_the_dtype(facts, scaler):
        return ()
    module = scaler.call.place.module
    line = scaler.call.node.end_lineno or scaler.call.node.lineno
    comment = making.comment(module.name, (line, line), "bfloat16 needs no loss scaling: enable it for float16 only")
    return (making.keyword(module, scaler.call.node, "enabled", "False"), comment)


def _missing(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    own = [region for region in loop.regions if region.autocast.enabled != {False}]
    if not own:
        return
    for call in loop.backwards:
        receiver = call.node.func.value if isinstance(call.node.func, ast.Attribute) else call.node.func
        name = root_name(receiver)
        if call.node.args or words(name) & _OWN_SCALING or not words(last_name(receiver)) & {"loss", "losses", "total"}:
            continue
        if facts.values.reached(call.place) is False or _mentions_scaler(loop):
            continue
        yield making.at(
            loop.function.module,
            call.node,
            "VC104",
            Severity.ERROR,
            "float16 without loss scaling: small gradients become zero, and the first overflow makes every trainable tensor NaN",
            evidence=(
                f"the forward pass computes in {told(frozenset([HALF]))}: {making.place(own[0].place.module, own[0].call.node).told}",
            ),
            remedy="Compute in bfloat16 (Ampere or newer), or scale: scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update().",
            url=making.AMP_EXAMPLES,
            role="scaler",
        )


def _mentions_scaler(loop: Loop) -> bool:
    return any(
        isinstance(node, ast.Name | ast.Attribute) and "scaler" in words(last_name(node))
        for node in ast.walk(loop.function.node)
    )
