"""The named causes, one function each: what shows that it is the one, or nothing. The docstring is what mends it."""

import inspect
import re
from collections.abc import Callable

from packaging.version import Version

from vc2doctor.core.precision import FLOAT16
from vc2doctor.probe.case import ENOUGH, FEW, Case
from vc2doctor.probe.facts import BrokenOperation
from vc2doctor.target.shared.recipes import CONTROL

_LARGEST = {"float16": FLOAT16, "bfloat16": 3.3895e38, "float32": 3.4028e38}
_HALF = ("float16", "bfloat16")
_SMALLEST_FLOAT16 = 2.0**-24
"""Smallest positive number, subnormals included; half of it and less rounds to 0."""
_HUGE_SCALE, _ROUNDED = 2.0**30, 0.02
_MASKED_NAN = (Version("2.0"), Version("2.5"))
"""torch versions whose sdpa makes NaN of rows that are masked entirely:
matrices/known_issues/torch-sdpa-masked-rows.toml."""
_HALF_ADAPTERS = (Version("0.7"), Version("0.12"))
"""peft versions that make adapters in the dtype of the base model: matrices/known_issues/peft-half-adapters.toml."""


def _place(broken: BrokenOperation) -> str:
    return f"{broken.op} in {broken.module or 'the model itself'}"


def data_not_finite(case: Case) -> str | None:
    """Look for the value where the batch is made, and drop or mend such samples."""
    seen = case.probe.inspection
    if seen is None or not seen.bad_input or case.run.failure:
        return None
    return f"the batch is not finite before any training: {seen.bad_input}"


def weight_not_finite(case: Case) -> str | None:
    """Load the checkpoint anew; if it is still so, a training before this one spoiled it: use an earlier one."""
    seen = case.probe.inspection
    if seen is None or not seen.bad_weight or case.run.failure:
        return None
    return f"a weight is not finite before any training: {seen.bad_weight}"


def all_labels_ignored(case: Case) -> str | None:
    """Drop samples without an answer before they are batched, or truncate the prompt instead of the answer."""
    seen = case.probe.inspection
    if seen is None or not seen.targets or min(seen.targets) > 0 or case.run.failure:
        return None
    return "a batch has no target: all its labels are -100, and the mean over nothing is NaN in every precision"


def fully_masked_row(case: Case) -> str | None:
    """Drop rows without a token, or let every row attend to itself; sdpa of torch 2.5 and newer gives numbers there."""
    seen = case.probe.inspection
    broken = case.broken
    if seen is None or not seen.masked_rows or broken is None or not re.search("softmax|attention", broken.op):
        return None
    torch = case.version("torch")
    old = torch is not None and _MASKED_NAN[0] <= torch < _MASKED_NAN[1]
    version = "; sdpa of torch 2.0 to 2.4 makes NaN of such rows, torch 2.5 does not" if old else ""
    return f"{seen.masked_rows} rows are masked entirely, and a softmax over nothing is NaN{version}"


def unscale_half_parameters(case: Case) -> str | None:
    """Cast the trainable parameters up after get_peft_model: `for p in model.parameters(): p.data = p.data.float() if
    p.requires_grad else p.data`.
    """
    if "Attempting to unscale FP16 gradients" not in case.error:
        return None
    told = "the trainable parameters are float16, and a GradScaler refuses to unscale their gradients"
    return told + _who_made_them(case)


def autocast_dtype_clash(case: Case) -> str | None:
    """Let all regions have one dtype: give the helper inside forward the dtype of the outer autocast and of the
    weights.
    """
    if not re.search(r"autocast::prioritize|BFloat16.*Half|Half.*BFloat16", case.error):
        return None
    nested = case.recipe.inner is not None and case.recipe.inner != case.recipe.base
    regions = f": a nested {case.recipe.inner} autocast meets {case.recipe.base} weights" if nested else ""
    return f"two half precisions meet in one operation{regions}"


def dtype_mismatch(case: Case) -> str | None:
    """Cast what goes in to the dtype of the weights, or enter autocast around the call."""
    if not re.search(r"same dtype|expected scalar type|must match.*dtype|expected .*dtype", case.error):
        return None
    return f"a tensor meets weights of another dtype outside autocast: {case.error}"


def nothing_trainable(case: Case) -> str | None:
    """Make adapters or layers trainable, call get_peft_model before the optimiser is made, and do not disable the
    adapters.
    """
    if "empty parameter list" not in case.error and "does not require grad" not in case.error:
        return None
    return "no parameter that the loss depends on requires a gradient"


def parameters_not_in_optimizer(case: Case) -> str | None:
    """Make the optimiser last, from the parameters of the model that is trained, with a learning rate above 0."""
    taken = any(step.taken for step in case.run.steps)
    if not taken or case.run.moved != 0.0 or any(step.gradients.missing for step in case.run.steps):
        return None
    return "steps were taken and no trainable parameter moved: the optimiser holds other tensors, or its rate is 0"


def half_parameters_under_adam(case: Case) -> str | None:
    """Cast the trainable parameters up after get_peft_model (`p.data = p.data.float()` where requires_grad), or train
    in bfloat16.
    """
    adapters = case.run.adapters
    if adapters is None or "float16" not in adapters.dtypes or "Adam" not in adapters.optimizer:
        return None
    eps = adapters.eps or 0.0
    first_bad_parameter = [step for step in case.run.steps if not step.parameters_finite]
    if (
        not first_bad_parameter
        or first_bad_parameter[0].loss is None
        or first_bad_parameter[0].gradients.non_finite
        or eps > _SMALLEST_FLOAT16 / 2
    ):
        return None
    mended = ", and float32 adapters mend it" if case.fixed_by("float32-adapters") else ""
    told = f"the trainable parameters are float16, in which {adapters.optimizer}'s eps of {eps:g} is 0{mended}"
    return told + _who_made_them(case)


def _who_made_them(case: Case) -> str:
    """Return which peft makes half adapters, where it is the one that was imported."""
    peft = case.version("peft")
    if case.recipe.base != "float16" or peft is None or not _HALF_ADAPTERS[0] <= peft < _HALF_ADAPTERS[1]:
        return ""
    return f"; peft {peft} makes adapters in the dtype of the base model, as 0.7 to 0.11 do"


def scale_driven_to_zero(case: Case) -> str | None:
    """Mend what makes every step overflow; a scale of 0 is a symptom. bfloat16 needs no GradScaler."""
    zero = any(step.scale == 0.0 for step in case.run.steps)
    return "the scaler halved its scale to 0, and the next good batch is divided by it" if zero else None


def scale_too_large(case: Case) -> str | None:
    """Leave init_scale at its default of 65536."""
    scales = [step.scale for step in case.run.steps if step.scale is not None]
    taken = any(step.taken for step in case.run.steps)
    finite = all(step.loss is not None for step in case.run.steps)
    if not scales or taken or not finite or scales[0] < _HUGE_SCALE:
        return None
    return f"the scaler began at {scales[0]:g}, so large that every gradient overflows in all its tries"


def overflow_in_ignored_rows(case: Case) -> str | None:
    """Train in bfloat16, or batch rows of one length, so that no padding is computed."""
    located = case.run.located
    if located is None or located.broken is None or not located.broken.ignored_rows_only:
        return None
    broken = located.broken
    return (
        f"{broken.dtype} overflows in {_place(broken)} only in rows that the mask ignores:"
        " the loss may stay finite, and 0 * inf spoils the gradients"
    )


def bfloat16_checkpoint_in_float16(case: Case) -> str | None:
    """Train in bfloat16, in which the checkpoint was made."""
    seen, overflow = case.probe.inspection, forward_overflow(case)
    broken = case.broken
    if seen is None or seen.stored != "bfloat16" or broken is None or broken.dtype != "float16" or overflow is None:
        return None
    return f"the weights are exactly bfloat16's, and a model trained in its range need not fit float16's: {overflow}"


def float16_checkpoint_in_bfloat16(case: Case) -> str | None:
    """Train in float16 with a GradScaler, or in float32: bfloat16 drops bits of these weights."""
    seen, control = case.probe.inspection, case.probe.recipe(CONTROL)
    if seen is None or seen.stored != "float16" or case.recipe.base != "bfloat16" or control is None:
        return None
    here, there = case.first_loss(case.run), case.first_loss(control)
    if here is None or there is None or abs(here - there) <= _ROUNDED * abs(there):
        return None
    return (
        f"the weights hold float16's 11 bits, of which bfloat16 keeps 8: the first loss is {here:.4g} instead of"
        f" {there:.4g}"
    )


def nested_autocast_overrides(case: Case) -> str | None:
    """Give the inner autocast the dtype of the outer one: `maybe_autocast(dtype=torch.bfloat16)`, or torch.autocast
    without a dtype of its own.
    """
    broken, overflow = case.broken, forward_overflow(case)
    if broken is None or broken.dtype != "float16" or overflow is None:
        return None
    if case.recipe.inner == "float16" and case.recipe.outer != "float16":
        return f"the nested float16 autocast overrides the outer {case.recipe.outer or 'float32'}: {overflow}"
    if "float16" not in case.recipe.dtypes:
        return f"{case.recipe.name} has no float16, so the model's own code enters a float16 autocast: {overflow}"
    return None


def forward_overflow(case: Case) -> str | None:
    """Train in bfloat16, which has the range of float32; loss scaling does not help in the forward pass."""
    broken = case.broken
    if broken is None or broken.phase != "forward" or broken.dtype not in _HALF:
        return None
    return _overflow(broken)


def _overflow(broken: BrokenOperation) -> str | None:
    """Return what overflowed, where the same operation on the same inputs fits into a wider dtype."""
    largest = _LARGEST.get(broken.dtype)
    if largest is None or broken.exact is None or broken.exact <= largest:
        return None
    sizes = " and ".join(f"{size:.4g}" for size in broken.largest if size is not None)
    return f"{_place(broken)} exceeds {broken.dtype}'s {largest:g}: it is {broken.exact:.4g} (inputs up to {sizes})"


def backward_overflow(case: Case) -> str | None:
    """Train in bfloat16, or scale the loss down; a GradScaler does so by itself."""
    bad = [step for step in case.run.steps if step.gradients.non_finite]
    if not bad or not case.control_is_good or any(step.loss is None for step in case.run.steps):
        return None
    scale = f" at a scale of {bad[0].scale:g}" if bad[0].scale else ""
    return f"the loss is finite and the gradients are not{scale}: the backward pass overflows"


def overflow_in_every_precision(case: Case) -> str | None:
    """Look at what goes into this operation: no precision holds the result."""
    broken = case.broken
    if broken is None or broken.phase != "forward" or broken.dtype in _HALF:
        return None
    return _overflow(broken)


def undefined_operation(case: Case) -> str | None:
    """Keep this operation away from where it is undefined: add an epsilon, or clamp what goes in."""
    broken = case.broken
    if broken is None or broken.exact is not None:
        return None
    return f"{_place(broken)} makes a number that is not finite of finite inputs, in any precision"


def exploding_rate(case: Case) -> str | None:
    """Lower the learning rate, or clip gradients: `torch.nn.utils.clip_grad_norm_(parameters, 1.0)`."""
    losses = [step.loss for step in case.run.steps if step.loss is not None]
    grows = len(losses) > 1 and losses[-1] > losses[0]
    rate = case.run.adapters.learning_rate if case.run.adapters else None
    if not case.fixed_by("clip-1.0") or not (grows or len(losses) == 1):
        return None
    return f"the loss explodes from step to step at a learning rate of {rate:g}, and clipping at 1.0 stops it"


def gradients_underflow(case: Case) -> str | None:
    """Use a GradScaler, or train in bfloat16."""
    share = case.run.vanished
    if share is None or share < FEW or case.recipe.scaled:
        return None
    return f"{share:.0%} of the gradients that float32 has are 0 here, with no loss scaling to lift them"


def untouched_parameters(case: Case) -> str | None:
    """Look whether the layers are called at all in training: adapters on modules that are not used learn nothing."""
    last = case.run.steps[-1].gradients if case.run.steps else None
    if last is None or not last.missing:
        return None
    return f"the loss does not depend on {last.missing} of {last.tensors} trainable tensors, {last.first_missing} first"


def updates_too_small(case: Case) -> str | None:
    """Keep the trainable parameters in float32, or raise the learning rate."""
    share, moved = case.run.would_move, case.run.moved
    if moved is not None and moved < FEW:
        return f"only {moved:.1%} of the trainable parameters changed: the steps are smaller than their dtype can hold"
    if share is None or share > ENOUGH:
        return None
    return f"at the project's learning rate only {share:.0%} of the adapter weights change in one step"


CAUSES: tuple[Callable[[Case], str | None], ...] = (
    data_not_finite,
    weight_not_finite,
    all_labels_ignored,
    unscale_half_parameters,
    autocast_dtype_clash,
    dtype_mismatch,
    nothing_trainable,
    half_parameters_under_adam,
    scale_driven_to_zero,
    scale_too_large,
    exploding_rate,
    fully_masked_row,
    overflow_in_ignored_rows,
    nested_autocast_overrides,
    bfloat16_checkpoint_in_float16,
    forward_overflow,
    backward_overflow,
    overflow_in_every_precision,
    undefined_operation,
    float16_checkpoint_in_bfloat16,
    gradients_underflow,
    untouched_parameters,
    parameters_not_in_optimizer,
    updates_too_small,
)
"""In the order in which they are asked: what is certain first. The docstring of each is what mends it."""


def name_of(cause: Callable[[Case], str | None]) -> str:
    """Return the name under which reports tell of a cause: ``forward-overflow``."""
    return cause.__name__.replace("_", "-")


def remedy_of(cause: Callable[[Case], str | None]) -> str:
    """Return what mends a cause, as one paragraph."""
    return " ".join(inspect.cleandoc(cause.__doc__ or "").split())


def pages() -> dict[str, str]:
    """Return what mends each cause, by its name."""
    return {name_of(cause): remedy_of(cause) for cause in CAUSES}
