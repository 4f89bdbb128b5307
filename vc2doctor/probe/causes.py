"""The named causes of a bad outcome, one function each.

A function returns its evidence, as a sentence without a period, or ``None`` if the facts do not show this cause. The
decorator ``_cause`` adds it to ``CAUSES`` with its remedy, the advice that a report shows. ``diagnose`` calls the
functions in the order of this file and takes the first evidence: causes that are certain come first. Without evidence
the cause stays unknown.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from packaging.version import Version

from vc2doctor.core.precision import FLOAT16
from vc2doctor.probe.case import MIN_MOVED_SHARE, MIN_STEP_SHARE, MIN_VANISHED_SHARE, Case, Cause
from vc2doctor.probe.facts import BrokenOperation, ProbeRun, RecipeRun
from vc2doctor.target.shared.recipes import CONTROL, RECIPES

_LARGEST = {"float16": FLOAT16, "bfloat16": 3.3895e38, "float32": 3.4028e38}
_HALF = ("float16", "bfloat16")
_SMALLEST_FLOAT16 = 2.0**-24
"""Smallest positive number, subnormals included; float16 rounds half of it, and all that is smaller, to 0."""
_HUGE_SCALE = 2.0**30
"""A start far above GradScaler's default of 2**16."""
_MIN_LOSS_CHANGE = 0.02
"""Relative change of the first loss that shows that rounding altered the weights."""
_SDPA_NAN = (Version("2.0"), Version("2.5"))
"""torch versions whose sdpa returns NaN for rows that are masked entirely:
matrices/known_issues/torch-sdpa-masked-rows.toml."""
_HALF_ADAPTERS = (Version("0.7"), Version("0.12"))
"""peft versions that create adapters in the dtype of the base model: matrices/known_issues/peft-half-adapters.toml."""

Evidence = Callable[[Case], str | None]


class NamedCause(NamedTuple):
    """A cause that the doctor can name."""

    id: str
    """The name that reports show: ``forward-overflow``."""
    remedy: str
    """What users should do, as one paragraph."""
    evidence: Evidence


CAUSES: list[NamedCause] = []
"""All causes, in the order in which they are asked."""


def diagnose(run: RecipeRun, probe: ProbeRun) -> Cause | None:
    """Return the cause of a bad outcome, or ``None`` if no evidence decides."""
    case = Case(run=run, recipe=RECIPES[run.recipe], probe=probe)
    for cause in CAUSES:
        evidence = cause.evidence(case)
        if evidence is not None:
            return Cause(id=cause.id, description=evidence, remedy=cause.remedy)
    return None


def pages() -> dict[str, str]:
    """Return the remedy of each cause, by its id."""
    return {cause.id: cause.remedy for cause in CAUSES}


def _cause(remedy: str) -> Callable[[Evidence], Evidence]:
    """Add the decorated function to ``CAUSES``, under its name with hyphens."""

    def register(evidence: Evidence) -> Evidence:
        CAUSES.append(NamedCause(evidence.__name__.replace("_", "-"), remedy, evidence))
        return evidence

    return register


@_cause("Find the code that builds the batch, and drop or correct the samples that hold NaN or infinity.")
def data_not_finite(case: Case) -> str | None:
    """Find an input that is not finite before any training."""
    inspection = case.probe.inspection
    if inspection is None or not inspection.bad_input or case.run.failure:
        return None
    return f"the input {inspection.bad_input} holds NaN or infinity before any training"


@_cause(
    "Load the checkpoint again. If the weight is still not finite, an earlier training damaged it: use an earlier"
    " checkpoint."
)
def weight_not_finite(case: Case) -> str | None:
    """Find a weight that is not finite before any training."""
    inspection = case.probe.inspection
    if inspection is None or not inspection.bad_weight or case.run.failure:
        return None
    return f"the weight {inspection.bad_weight} holds NaN or infinity before any training"


@_cause("Drop samples without an answer before they are batched, or truncate the prompt instead of the answer.")
def all_labels_ignored(case: Case) -> str | None:
    """Find a batch whose labels are all ignored."""
    inspection = case.probe.inspection
    if inspection is None or not inspection.targets or min(inspection.targets) > 0 or case.run.failure:
        return None
    return "all labels of a batch are -100, so the loss is a mean over nothing, which is NaN in every precision"


@_cause(
    "Cast the trainable parameters to float32 after get_peft_model: `for p in model.parameters(): p.data ="
    " p.data.float() if p.requires_grad else p.data`."
)
def unscale_half_parameters(case: Case) -> str | None:
    """Find the exception of a GradScaler that gets float16 gradients."""
    if "Attempting to unscale FP16 gradients" not in case.error:
        return None
    return f"the trainable parameters are float16, and GradScaler refuses float16 gradients{_peft_origin(case)}"


@_cause(
    "Use one half precision everywhere: give the autocast inside forward the dtype of the outer autocast and of the"
    " weights."
)
def autocast_dtype_clash(case: Case) -> str | None:
    """Find the exception of an operation that gets both float16 and bfloat16."""
    if not re.search(r"autocast::prioritize|BFloat16.*Half|Half.*BFloat16", case.error):
        return None
    nested = case.recipe.inner is not None and case.recipe.inner != case.recipe.base
    reason = f": a nested {case.recipe.inner} autocast runs on {case.recipe.base} weights" if nested else ""
    return f"one operation gets both float16 and bfloat16 tensors{reason}"


@_cause("Cast the input to the dtype of the weights, or run the call under autocast.")
def dtype_mismatch(case: Case) -> str | None:
    """Find the exception of an operation whose input and weights differ in dtype."""
    if not re.search(r"same dtype|expected scalar type|must match.*dtype|expected .*dtype", case.error):
        return None
    return f"a tensor and the weights differ in dtype, and no autocast converts them: {case.error}"


@_cause(
    "Make adapters or layers trainable, call get_peft_model before you create the optimizer, and do not disable the"
    " adapters while you train."
)
def nothing_trainable(case: Case) -> str | None:
    """Find the exception of a training without a trainable parameter."""
    if "empty parameter list" not in case.error and "does not require grad" not in case.error:
        return None
    return "no parameter that the loss depends on requires a gradient"


@_cause(
    "Cast the trainable parameters to float32 after get_peft_model (`p.data = p.data.float()` where requires_grad), or"
    " train in bfloat16."
)
def half_parameters_under_adam(case: Case) -> str | None:
    """Find float16 parameters that become non-finite under Adam from finite gradients, because its eps rounds to 0."""
    adapters = case.run.adapters
    if adapters is None or "float16" not in adapters.dtypes or "Adam" not in adapters.optimizer:
        return None
    bad = next((step for step in case.run.steps if not step.parameters_finite), None)
    if bad is None or bad.loss is None or bad.gradients.non_finite:
        return None
    eps = adapters.eps or 0.0
    if eps > _SMALLEST_FLOAT16 / 2:
        return None
    confirmed = "; with float32 adapters, training does not fail" if case.fixed_by("float32-adapters") else ""
    return (
        f"the trainable parameters are float16, which rounds {adapters.optimizer}'s eps of {eps:g} to 0, so that an"
        f" update can divide by 0{confirmed}{_peft_origin(case)}"
    )


def _peft_origin(case: Case) -> str:
    """Return a clause on the peft that creates half adapters, if such a peft was imported; else nothing."""
    peft = case.version("peft")
    if case.recipe.base != "float16" or peft is None or not _HALF_ADAPTERS[0] <= peft < _HALF_ADAPTERS[1]:
        return ""
    return f"; peft {peft} creates adapters in the dtype of the base model, as all of 0.7 to 0.11 do"


@_cause(
    "Fix the overflow that lets GradScaler halve its scale again and again; a scale of 0 is only a symptom. bfloat16"
    " needs no GradScaler."
)
def scale_driven_to_zero(case: Case) -> str | None:
    """Find a loss scale of 0."""
    zero = any(step.scale == 0.0 for step in case.run.steps)
    return (
        "GradScaler halved its scale down to 0, and then divided the gradients of the next batch by 0" if zero else None
    )


@_cause("Leave the init_scale of GradScaler at its default of 65536.")
def scale_too_large(case: Case) -> str | None:
    """Find a loss scale that starts so high that no step is taken."""
    scales = [step.scale for step in case.run.steps if step.scale is not None]
    taken = any(step.taken for step in case.run.steps)
    finite = all(step.loss is not None for step in case.run.steps)
    if not scales or taken or not finite or scales[0] < _HUGE_SCALE:
        return None
    return f"GradScaler starts at a scale of {scales[0]:g}, so large that the gradients overflow at every attempt"


@_cause("Lower the learning rate, or clip gradients: `torch.nn.utils.clip_grad_norm_(parameters, 1.0)`.")
def exploding_rate(case: Case) -> str | None:
    """Find a loss that grows from step to step unless gradients are clipped."""
    losses = [step.loss for step in case.run.steps if step.loss is not None]
    grows = len(losses) > 1 and losses[-1] > losses[0]
    if not case.fixed_by("clip-1.0") or not (grows or len(losses) == 1):
        return None
    rate = case.run.adapters.learning_rate if case.run.adapters else None
    at_rate = f" at a learning rate of {rate:g}" if rate is not None else ""
    return f"the loss grows without limit{at_rate}, and clipping the gradients to a norm of 1.0 stops that"


@_cause(
    "Drop rows without a token, or let every row attend to itself. sdpa of torch 2.5 and newer returns numbers for such"
    " rows."
)
def fully_masked_row(case: Case) -> str | None:
    """Find a softmax that breaks while a row has no token to attend to."""
    inspection = case.probe.inspection
    broken = case.broken
    if inspection is None or not inspection.masked_rows or broken is None:
        return None
    if not re.search("softmax|attention", broken.op):
        return None
    torch = case.version("torch")
    old = torch is not None and _SDPA_NAN[0] <= torch < _SDPA_NAN[1]
    version = "; sdpa of torch 2.0 to 2.4 returns NaN for such rows, that of torch 2.5 does not" if old else ""
    return f"the mask hides every token of {inspection.masked_rows} rows, and a softmax over nothing is NaN{version}"


@_cause("Train in bfloat16, or batch rows of equal length, so that no padding is computed.")
def overflow_in_ignored_rows(case: Case) -> str | None:
    """Find an operation that breaks only in rows that the mask hides."""
    broken = case.broken
    if broken is None or not broken.ignored_rows_only:
        return None
    return (
        f"{broken.dtype} overflows in {_place(broken)}, but only in rows that the mask hides: the loss can stay finite,"
        " while 0 * inf makes the gradients NaN"
    )


@_cause(
    "Give the inner autocast the dtype of the outer one: `maybe_autocast(dtype=torch.bfloat16)`, or torch.autocast"
    " without a dtype of its own."
)
def nested_autocast_overrides(case: Case) -> str | None:
    """Find a float16 overflow under a recipe whose outer region is not float16."""
    broken, overflow = case.broken, forward_overflow(case)
    if broken is None or broken.dtype != "float16" or overflow is None:
        return None
    if case.recipe.inner == "float16" and case.recipe.outer != "float16":
        return f"the nested float16 autocast overrides the outer {case.recipe.outer or 'float32'}: {overflow}"
    if "float16" not in case.recipe.dtypes:
        return f"{case.recipe.name} uses no float16, so the model's own code enters a float16 autocast: {overflow}"
    return None


@_cause("Train in bfloat16, the dtype in which the checkpoint was saved.")
def bfloat16_checkpoint_in_float16(case: Case) -> str | None:
    """Find a float16 overflow of weights that are exact in bfloat16."""
    inspection, broken, overflow = case.probe.inspection, case.broken, forward_overflow(case)
    if inspection is None or inspection.stored != "bfloat16":
        return None
    if broken is None or broken.dtype != "float16" or overflow is None:
        return None
    return (
        "all weights are exact in bfloat16, and a model that was trained in bfloat16's range need not fit into"
        f" float16's: {overflow}"
    )


@_cause("Train in bfloat16, which has the range of float32. Loss scaling does not help in the forward pass.")
def forward_overflow(case: Case) -> str | None:
    """Find an operation of the forward pass whose result is too large for its half precision."""
    broken = case.broken
    if broken is None or broken.phase != "forward" or broken.dtype not in _HALF:
        return None
    return _overflow(broken)


def _overflow(broken: BrokenOperation) -> str | None:
    """Return a clause on the overflow, if a wider dtype can hold the result; else ``None``."""
    largest = _LARGEST.get(broken.dtype)
    if largest is None or broken.exact is None or broken.exact <= largest:
        return None
    sizes = " and ".join(f"{size:.4g}" for size in broken.largest if size is not None)
    return (
        f"the result of {_place(broken)} is {broken.exact:.4g} (inputs up to {sizes}), but {broken.dtype}'s largest"
        f" number is {largest:g}"
    )


def _place(broken: BrokenOperation) -> str:
    return f"{broken.op} in {broken.module or 'the model itself'}"


@_cause("Train in bfloat16, or scale the loss down, as GradScaler does by itself.")
def backward_overflow(case: Case) -> str | None:
    """Find gradients that are not finite although all losses are, and float32 trains."""
    bad = next((step for step in case.run.steps if step.gradients.non_finite), None)
    if bad is None or not case.control_is_good or any(step.loss is None for step in case.run.steps):
        return None
    scale = f" at a loss scale of {bad.scale:g}" if bad.scale else ""
    return f"the loss is finite, but the gradients are not{scale}: the backward pass overflows"


@_cause("Check the inputs of this operation: its result is too large for every precision.")
def overflow_in_every_precision(case: Case) -> str | None:
    """Find an operation of the forward pass that overflows in float32."""
    broken = case.broken
    if broken is None or broken.phase != "forward" or broken.dtype in _HALF:
        return None
    return _overflow(broken)


@_cause("Keep the inputs away from where this operation is undefined: add an epsilon, or clamp them.")
def undefined_operation(case: Case) -> str | None:
    """Find an operation whose result is not finite in a wider dtype either."""
    broken = case.broken
    if broken is None or broken.exact is not None:
        return None
    return f"{_place(broken)} returns NaN or infinity for finite inputs, in every precision"


@_cause("Train in float16 with a GradScaler, or in float32: bfloat16 drops bits of these weights.")
def float16_checkpoint_in_bfloat16(case: Case) -> str | None:
    """Return evidence if bfloat16 rounds weights that float16 holds exactly, and so changes the first loss."""
    inspection, control = case.probe.inspection, case.probe.recipe(CONTROL)
    if inspection is None or inspection.stored != "float16" or case.recipe.base != "bfloat16" or control is None:
        return None
    loss, exact = _first_loss(case.run), _first_loss(control)
    if loss is None or exact is None or abs(loss - exact) <= _MIN_LOSS_CHANGE * abs(exact):
        return None
    return (
        "these weights need the 11 significant bits of float16, but bfloat16 has 8. "
        f"So the first loss is {loss:.4g} instead of {exact:.4g}"
    )


def _first_loss(run: RecipeRun) -> float | None:
    """Return the loss before the first update, or ``None`` if it is not finite."""
    return run.steps[0].loss if run.steps else None


@_cause("Use a GradScaler, or train in bfloat16.")
def gradients_underflow(case: Case) -> str | None:
    """Find gradients that are 0 here and not in float32, without loss scaling."""
    share = case.run.vanished
    if share is None or share < MIN_VANISHED_SHARE or case.recipe.scaled:
        return None
    return f"{share:.0%} of the gradients that are not 0 in float32 underflow to 0, and there is no loss scaling"


@_cause("Check that training calls these layers at all: adapters on modules that are not used learn nothing.")
def untouched_parameters(case: Case) -> str | None:
    """Find trainable tensors that get no gradient."""
    last = case.run.steps[-1].gradients if case.run.steps else None
    if last is None or not last.missing:
        return None
    return (
        f"the loss does not depend on {last.missing} of {last.tensors} trainable tensors (the first is"
        f" {last.first_missing})"
    )


@_cause("Create the optimizer last, from the parameters of the model that you train, with a learning rate above 0.")
def parameters_not_in_optimizer(case: Case) -> str | None:
    """Find a training in which steps are taken and no parameter changes."""
    taken = any(step.taken for step in case.run.steps)
    if not taken or case.run.moved != 0.0 or any(step.gradients.missing for step in case.run.steps):
        return None
    return (
        "the optimizer took steps, but no trainable parameter changed: it holds other tensors, or its learning rate"
        " is 0"
    )


@_cause("Keep the trainable parameters in float32, or raise the learning rate.")
def updates_too_small(case: Case) -> str | None:
    """Find updates that are smaller than the spacing of numbers in the dtype of the parameters."""
    moved, share = case.run.moved, case.run.would_move
    if moved is not None and moved < MIN_MOVED_SHARE:
        return f"only {moved:.1%} of the trainable parameters changed: their dtype rounds smaller updates away"
    if share is None or share > MIN_STEP_SHARE:
        return None
    return f"at the project's learning rate, one step changes only {share:.0%} of the adapter weights"
