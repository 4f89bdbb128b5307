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
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import dtype_names
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.loss_scaling import computes_in, follows_the_dtype, scalers_of, scaling
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.scalers import Scaler
from vc2doctor.linter.analyse.stage import infers_by_path, words
from vc2doctor.linter.analyse.values import BFLOAT, HALF
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, last_name, root_name
from vc2doctor.linter.to_bfloat16 import disable_scaler

_OWN_SCALING = {"accelerator", "engine", "fabric", "trainer"}
_NEEDS = "https://github.com/pytorch/pytorch/issues/127176"


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find scalers over bfloat16, and float16 loops without one."""
    for unit in facts.code.units.values():
        useless: dict[Scaler, list[Call]] = {}
        for loop in facts.loops.of(unit):
            dtypes = computes_in(facts, unit, loop)
            uses = scaling(facts, loop)
            if dtypes == {BFLOAT} and uses:
                for scaler in scalers_of(facts, unit, loop):
                    useless.setdefault(scaler, []).extend(uses)
            elif dtypes == {HALF} and not uses:
                yield from _missing(facts, loop)
        yield from _wrappers(unit)
        for scaler, uses in useless.items():
            if scaler.enabled != {False} and not follows_the_dtype(facts, scaler):
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
            yield build.at_entry(
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


def _useless(facts: Facts, scaler: Scaler, uses: list[Call]) -> CodeFinding:
    at = ", ".join(build.place(call.place.module, call.node).location for call in uses)
    return build.at(
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
        bf16=disable_scaler(facts, scaler),
        unsafe=disable_scaler(facts, scaler),
    )


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
        yield build.at(
            loop.function.module,
            call.node,
            "VC104",
            Severity.ERROR,
            "float16 without loss scaling: small gradients become zero, and the first overflow makes every trainable tensor NaN",
            evidence=(
                f"the forward pass computes in {dtype_names(frozenset([HALF]))}: {build.place(own[0].place.module, own[0].call.node).location}",
            ),
            remedy="Compute in bfloat16 (Ampere or newer), or scale: scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update().",
            url=build.AMP_EXAMPLES,
            role="scaler",
        )


def _mentions_scaler(loop: Loop) -> bool:
    return any(
        isinstance(node, ast.Name | ast.Attribute) and "scaler" in words(last_name(node))
        for node in ast.walk(loop.function.node)
    )
