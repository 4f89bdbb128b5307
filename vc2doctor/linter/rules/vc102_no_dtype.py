"""An autocast region without a dtype.

**What it does.** Reports `torch.cuda.amp.autocast()` and `torch.autocast("cuda")` in training code where no dtype is
given.

**Why is this bad.** `torch.cuda.amp.autocast()` is always float16, even inside a bfloat16 region, because float16 is
the default of its signature. `torch.autocast("cuda")` without a dtype takes the dtype of the region around it, and is
float16 where there is none. The line does not show this, and a change of the weights to bfloat16 changes neither
(measured with torch 2.13).

**Example**

    with torch.cuda.amp.autocast(enabled=config.fp16):
        loss = model(batch)

**Use instead**

    with torch.cuda.amp.autocast(enabled=config.fp16, dtype=torch.bfloat16):
        loss = model(batch)

**How to fix.** Write the dtype that is meant. `vc2doctor lint --precision bf16 --fix` writes `dtype=torch.bfloat16`. To
keep a line, add `# vc2doctor: ignore[VC102]`. The argument exists since torch 1.10.

**Quiet.** No finding with `enabled=False`, under `no_grad`, in evaluation, and for wrappers of other libraries
(`accelerator.autocast()`). It is a note where the region only draws samples in the middle of a training loop.

**References**

* https://docs.pytorch.org/docs/stable/amp.html#autocasting
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.autocast import Autocast
from vc2doctor.linter.analyse.dtypes import BFLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loss_scaling import is_scaled
from vc2doctor.linter.analyse.stage import Stage, is_without_gradients
from vc2doctor.linter.detectors.unopened_regions import unopened_contexts
from vc2doctor.linter.model import CodeFinding, Edit
from vc2doctor.linter.read.module import last_name


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield autocasts in training code that have no dtype argument."""
    coherent = _coherent_autocasts(facts)
    loops = {loop.function for loop in facts.loops.all}
    unopened = {context.call for context in unopened_contexts(facts)}
    region_stages = {region.call.node: region.stage for region in facts.autocast.regions}
    for autocast in facts.autocast.autocasts.values():
        stage = region_stages.get(autocast.call.node, facts.stages.of(autocast.call.place))
        is_candidate = autocast.dtype_argument is None and not autocast.is_disabled and autocast.can_be_on_cuda
        if not is_candidate or _is_chosen_by_name(facts, autocast) or autocast.call.node in unopened:
            continue
        if (
            stage is Stage.INFERS
            and autocast.call.place.function in loops
            and not is_without_gradients(autocast.call.place)
        ):
            yield _of_samples(autocast)
        elif stage is Stage.TRAINS:
            is_right = autocast.call.node in coherent or _has_own_scaler(autocast) or _scales_beside(autocast)
            if autocast.inherits_dtype:
                yield _inherited_dtype(autocast)
            elif not is_right and _is_of_lightning(facts, autocast):
                yield _beside_lightning(autocast)
            else:
                yield _default_dtype(autocast, is_right=is_right)


def _coherent_autocasts(facts: Facts) -> set[ast.Call]:
    """Return the autocasts of float16 loops that scale their loss, in units without bfloat16 weights.

    There float16 is what was meant, whether or not it is written.
    """
    coherent: set[ast.Call] = set()
    for unit in facts.code.units.values():
        loads = [load for load in facts.weights.trained_loads(unit) if not load.is_inert]
        if any(BFLOAT16 in load.dtypes or (load.family and load.family.trained_in == "bfloat16") for load in loads):
            continue
        loops = facts.loops.of(unit)
        scaled = [loop for loop in loops if is_scaled(facts, loop)]
        coherent |= {region.autocast.call.node for loop in scaled for region in loop.regions}
        if len(scaled) == len(loops) > 0:
            # The regions inside of the models run under these loops, too.
            coherent |= {region.autocast.call.node for region in facts.autocast.training_regions(unit)}
    return coherent


def _is_chosen_by_name(facts: Facts, autocast: Autocast) -> bool:
    """Return whether the run chooses this kind of region by name: ``if precision == "amp":``."""
    place = autocast.call.place
    compares_with_text = any(
        isinstance(node, ast.Compare)
        and isinstance(node.comparators[0], ast.Constant)
        and isinstance(node.comparators[0].value, str)
        for condition, wanted in place.conditions
        if wanted
        for node in ast.walk(condition)
    )
    return compares_with_text and facts.values.is_reached(place) is not True


def _has_own_scaler(autocast: Autocast) -> bool:
    """Return whether the class that makes a context also makes the scaler: it is a helper for float16 training."""
    cls = autocast.call.place.function.cls
    assigned = (value for pairs in cls.attributes.values() for value, _ in pairs) if cls is not None else ()
    return any(isinstance(value, ast.Call) and last_name(value.func) == "GradScaler" for value in assigned)


def _scales_beside(autocast: Autocast) -> bool:
    """Return whether the function of a region scales its loss: float16 was meant there. VC104 judges the scaler."""
    module = autocast.call.place.module
    calls = module.calls_in(autocast.call.place.function)
    return "GradScaler" in module.source.text and any(
        call.name == "backward" and isinstance(call.receiver, ast.Call) and last_name(call.receiver.func) == "scale"
        for call in calls
    )


def _is_of_lightning(facts: Facts, autocast: Autocast) -> bool:
    """Return whether a module of Lightning makes a context, in a project that names no bfloat16 run of its trainer."""
    cls = autocast.call.place.function.cls
    if cls is None or not any(base.endswith("LightningModule") for base in facts.code.base_names(cls)):
        return False
    runs = facts.runs.of(facts.code.unit_of(cls.module))
    return not any(run.half is not None and run.half.value == "bf16" for run in runs)


def _beside_lightning(autocast: Autocast) -> CodeFinding:
    return _note(
        autocast,
        "it is float16, also where the trainer is given another precision",
        evidence="the precision of Lightning's trainer decides whether the loss is scaled, and not this context",
        remedy="Leave the region to the trainer's precision, or write the dtype that is meant.",
        if_missed="this code computes in float16 beside a bfloat16 trainer",
    )


def _inherited_dtype(autocast: Autocast) -> CodeFinding:
    return _note(
        autocast,
        "it takes the dtype of the region around it, and is float16 where there is none",
        evidence="measured with torch 2.13: inherited inside a region, float16 at the top level",
        remedy="Write the dtype that is meant: dtype=torch.bfloat16.",
        if_missed="outside of any other region this code computes in float16",
    )


def _of_samples(autocast: Autocast) -> CodeFinding:
    return _note(
        autocast,
        "it is float16, and only draws samples",
        evidence="every call in this region is one that infers, by its name",
        remedy="Write the dtype that the model is trained in, so that samples and training agree.",
        if_missed="samples are drawn in float16 from a model that was trained in bfloat16",
    )


def _note(autocast: Autocast, effect: str, *, evidence: str, remedy: str, if_missed: str) -> CodeFinding:
    return build.at_node(
        autocast.call.place.module,
        autocast.call.node,
        "VC102",
        Severity.NOTE,
        f"{build.code(autocast.call.node)} has no dtype: {effect}",
        evidence=(evidence,),
        remedy=remedy,
        role="outer",
        cause="float16",
        if_missed=if_missed,
        bf16_edits=_bfloat16_keyword(autocast),
    )


def _default_dtype(autocast: Autocast, *, is_right: bool) -> CodeFinding:
    evidence = ["float16 is the default of the signature; the region around it and the weights do not change it"]
    for keyword in autocast.call.node.keywords:
        if keyword.arg == "enabled" and not isinstance(keyword.value, ast.Constant):
            values = sorted({repr(value) for value in autocast.enabled})
            evidence.append(
                f"enabled={build.code(keyword.value)}: {' or '.join(values)} as far as the configurations say"
            )
    return build.at_node(
        autocast.call.place.module,
        autocast.call.node,
        "VC102",
        Severity.NOTE if is_right else Severity.WARNING,
        f"{build.code(autocast.call.node)} has no dtype: it is float16"
        + (", and the loop scales its loss as float16 needs" if is_right else ""),
        evidence=tuple(evidence),
        remedy="Write the dtype that is meant; for a model trained in bfloat16: dtype=torch.bfloat16.",
        role="outer",
        cause="float16",
        if_missed="what runs outside of the helper's regions computes in float16; the innermost region decides the rest",
        bf16_edits=_bfloat16_keyword(autocast),
    )


def _bfloat16_keyword(autocast: Autocast) -> tuple[Edit, ...]:
    """Return the edit that writes the dtype; none where the call can also make a context that takes no dtype."""
    if autocast.is_one_of_several:
        return ()
    return (change.set_keyword(autocast.call.place.module, autocast.call.node, "dtype", "torch.bfloat16"),)
