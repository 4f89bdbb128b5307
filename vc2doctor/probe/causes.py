"""The named causes of a bad outcome, one function each; those of data and weights are in causes_of_data.py.

A function returns its evidence, as a sentence without a period, or ``None`` if the facts do not show this cause. The
decorator ``cause`` adds it to ``CAUSES`` with its remedy, the advice that a report shows. Functions are called in the
order of this file, and the first evidence is taken: causes that are certain come first.
"""

import re

from packaging.version import Version

from vc2doctor.core.precision import FLOAT16
from vc2doctor.core.wording import counted
from vc2doctor.probe.case import MIN_VANISHED_SHARE, Case, peft_origin
from vc2doctor.probe.facts import RecipeRun
from vc2doctor.probe.failed_step import BrokenOperation
from vc2doctor.probe.named_cause import cause
from vc2doctor.target.shared.recipes import CONTROL

_LARGEST = {"float16": FLOAT16, "bfloat16": 3.3895e38, "float32": 3.4028e38}
_HALF = ("float16", "bfloat16")
_SMALLEST_FLOAT16 = 2.0**-24
"""Smallest positive number, subnormals included; float16 rounds half of it, and all that is smaller, to 0."""
_HUGE_SCALE = 2.0**30
"""A start far above GradScaler's default of 2**16."""
_MIN_GROWTH = 4.0
"""Growth of the learning rate, within the steps of the probe, that explains a loss that rises or breaks."""
_MIN_LOSS_CHANGE = 0.02
"""Relative change of the first loss that shows that rounding altered the weights."""
_SDPA_NAN = (Version("2.0"), Version("2.5"))
"""torch versions whose sdpa returns NaN for rows that are masked entirely:
matrices/known_issues/torch-sdpa-masked-rows.toml."""


@cause(
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
    if adapters.eps is None or adapters.eps > _SMALLEST_FLOAT16 / 2:
        return None
    confirmed = "; with float32 adapters, training does not fail" if case.fixed_by("float32-adapters") else ""
    return (
        f"the trainable parameters are float16, which rounds {adapters.optimizer}'s eps of {adapters.eps:g} to 0, so"
        f" that an update can divide by 0{confirmed}{peft_origin(case)}"
    )


@cause(
    "Fix the overflow that lets GradScaler halve its scale again and again; a scale of 0 is only a symptom. bfloat16"
    " needs no GradScaler."
)
def scale_driven_to_zero(case: Case) -> str | None:
    """Find a loss scale of 0."""
    zero = any(step.scale == 0.0 for step in case.run.steps)
    return (
        "GradScaler halved its scale down to 0, and then divided the gradients of the next batch by 0" if zero else None
    )


@cause("Leave the init_scale of GradScaler at its default of 65536.")
def scale_too_large(case: Case) -> str | None:
    """Find a loss scale that starts so high that no step is taken."""
    scales = [step.scale for step in case.run.steps if step.scale is not None]
    taken = any(step.taken for step in case.run.steps)
    finite = all(step.loss is not None for step in case.run.steps)
    if not scales or taken or not finite or scales[0] < _HUGE_SCALE:
        return None
    return f"GradScaler starts at a scale of {scales[0]:g}, so large that the gradients overflow at every attempt"


@cause(
    "Keep the schedule above 0: clamp its factor (`max(0.0, 1 - step / total)`), and check the step at which training"
    " resumes."
)
def rate_is_negative(case: Case) -> str | None:
    """Find a learning rate below 0, with which the optimizer climbs the loss."""
    lowest = min((step.lowest_rate for step in case.run.steps if step.lowest_rate is not None), default=0.0)
    if lowest >= 0:
        return None
    return f"the learning rate is negative ({lowest:g}), so that each step makes the loss larger"


@cause("Check the schedule: it multiplies the learning rate again and again.")
def rate_grows(case: Case) -> str | None:
    """Find a learning rate that a schedule makes many times larger while the loss rises or breaks."""
    rates = [step.highest_rate for step in case.run.steps if step.highest_rate is not None]
    if len(rates) < 2 or rates[0] <= 0 or max(rates) < _MIN_GROWTH * rates[0]:  # noqa: PLR2004
        return None
    return f"the learning rate grows from {rates[0]:g} to {max(rates):g} in {len(rates)} steps"


@cause("Lower the learning rate, or clip gradients: `torch.nn.utils.clip_grad_norm_(parameters, 1.0)`.")
def exploding_rate(case: Case) -> str | None:
    """Find a training that breaks unless gradients are clipped or the learning rate is lower.

    The loss grows until it is not finite, or float32 breaks as well: where float32 trains, a lower rate may only keep
    the values from what half precision cannot hold.
    """
    losses = [step.loss for step in case.run.steps if step.loss is not None]
    if not losses or not case.run.is_broken:
        return None
    grows = len(losses) == 1 or losses[-1] > losses[0]
    at_rate = f" at a learning rate of {case.rate:g}" if case.rate is not None else ""
    if grows and case.fixed_by("clip-1.0"):
        return f"the loss grows without limit{at_rate}, and clipping the gradients to a norm of 1.0 stops that"
    lower = case.lower_rate
    if lower is None or (not grows and case.control_is_good):
        return None
    breaks = "the loss grows without limit" if grows else "training breaks in every precision, float32 included,"
    return f"{breaks}{at_rate}, and the loss falls at {lower}"


@cause("Use a constant that fits the dtype: `torch.finfo(dtype).min` for a mask, or keep this buffer in float32.")
def constant_beyond_range(case: Case) -> str | None:
    """Find a weight or buffer that is finite in float32 and infinite in the dtype of this recipe."""
    compared, broken = case.compared, case.broken
    if compared is None or compared.constant is None or compared.value is None:
        return None
    place = f"; so {broken.place} returns NaN or infinity, as 0 * inf does" if broken is not None else ""
    return f"{compared.constant} is {compared.value:.4g} in float32, and infinite in {case.recipe.base}{place}"


@cause(
    "Drop rows without a token, or let every row attend to itself. sdpa of torch 2.5 and newer returns numbers for such"
    " rows."
)
def fully_masked_row(case: Case) -> str | None:
    """Find a softmax that breaks while a row has no token to attend to."""
    inspection = case.probe.inspection
    broken = case.broken
    if broken is None or not re.search("softmax|attention", broken.op):
        return None
    rows = inspection.masked_rows if inspection is not None else 0
    if not rows and not broken.hidden_rows:
        return None
    torch = case.version("torch")
    old = torch is not None and _SDPA_NAN[0] <= torch < _SDPA_NAN[1]
    version = "; sdpa of torch 2.0 to 2.4 returns NaN for such rows, that of torch 2.5 does not" if old else ""
    if not rows:
        return f"{broken.place} gets rows that hold nothing but -inf, and a softmax over nothing is NaN{version}"
    return f"the mask hides every token of {counted(rows, 'row')}, and a softmax over nothing is NaN{version}"


@cause("Train in bfloat16, or batch rows of equal length, so that no padding is computed.")
def overflow_in_ignored_rows(case: Case) -> str | None:
    """Find an operation that breaks only in rows that the mask hides."""
    broken = case.broken
    if broken is None or not broken.ignored_rows_only:
        return None
    return (
        f"{broken.dtype} overflows in {broken.place}, but only in rows that the mask hides: the loss can stay finite,"
        " while 0 * inf makes the gradients NaN"
    )


@cause(
    "Give the inner autocast the dtype of the outer one: `maybe_autocast(dtype=torch.bfloat16)`, or torch.autocast"
    " without a dtype of its own."
)
def nested_autocast_overrides(case: Case) -> str | None:
    """Find a float16 overflow under a recipe whose outer region is not float16."""
    broken, overflow = case.broken, forward_overflow(case)
    if broken is None or broken.dtype != "float16" or overflow is None:
        return None
    if case.recipe.contradicts:
        return f"the nested {case.recipe.inner} autocast overrides the outer {case.recipe.outer}: {overflow}"
    if "float16" not in case.recipe.dtypes:
        return f"{case.recipe.name} uses no float16, so the model's own code enters a float16 autocast: {overflow}"
    return None


@cause("Train in bfloat16, the dtype in which the checkpoint was saved.")
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


@cause(
    "Count and sum in float32 (`.float()`, `dtype=torch.float32`), or take the mean, whose divisor is no tensor in half"
    " precision."
)
def divided_by_infinity(case: Case) -> str | None:
    """Find a value that overflows on the way to a finite loss: what is divided by it becomes exactly 0."""
    broken, overflow = case.broken, _any_overflow(case)
    if broken is None or overflow is None or not case.run.has_no_gradient:
        return None
    loss = " the loss is exactly 0, and" if case.run.steps[0].loss == 0 else ""
    node = case.run.silent.place if case.run.silent is not None else None
    place = f" by {node}" if node is not None else ""
    return f"{overflow}. What is divided by it{place} becomes 0:{loss} every gradient is 0"


def _any_overflow(case: Case) -> str | None:
    broken = case.broken
    return _overflow(broken) if broken is not None and broken.phase == "forward" else None


@cause("Train in bfloat16, which has the range of float32. Loss scaling does not help in the forward pass.")
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
        f"the result of {broken.place} is {broken.exact:.4g} (inputs up to {sizes}), but {broken.dtype}'s largest"
        f" number is {largest:g}"
    )


@cause("Train in bfloat16, or scale the loss down, as GradScaler does by itself.")
def backward_overflow(case: Case) -> str | None:
    """Find gradients that are not finite although all losses are, and float32 trains."""
    # A GradScaler that overflows finds its scale, and then takes steps.
    trains = any(step.taken for step in case.run.steps)
    overflows = (step for step in case.run.steps if step.gradients.non_finite)
    bad = next((step for step in overflows if step.taken or not (step.scale and trains)), None)
    if bad is None or not case.control_is_good or any(step.loss is None for step in case.run.steps):
        return None
    scale = f" at a loss scale of {bad.scale:g}" if bad.scale else ""
    return f"the loss is finite, but the gradients are not{scale}: the backward pass overflows"


@cause("Check the inputs of this operation: its result is too large for every precision.")
def overflow_in_every_precision(case: Case) -> str | None:
    """Find an operation that overflows in float32."""
    broken = case.broken
    if broken is None or broken.phase == "optimizer" or broken.dtype in _HALF:
        return None
    return _overflow(broken)


@cause("Give the optimizer an eps above 0, such as 1e-8.")
def optimizer_divides_by_zero(case: Case) -> str | None:
    """Find an optimizer whose eps is 0, so that a gradient of 0 becomes NaN."""
    adapters = case.run.adapters
    bad = next((step for step in case.run.steps if not step.parameters_finite), None)
    if adapters is None or adapters.eps != 0.0 or bad is None or bad.loss is None or bad.gradients.non_finite:
        return None
    return f"the eps of {adapters.optimizer} is 0, so that it divides a gradient of 0 by 0"


@cause("Check how the learning rate is computed, for example a scheduler that divides by a number of steps of 0.")
def rate_not_finite(case: Case) -> str | None:
    """Find a learning rate that is NaN or infinite."""
    adapters = case.run.adapters
    if adapters is None or adapters.is_rate_finite:
        return None
    return f"the learning rate of {adapters.optimizer} is NaN or infinite"


@cause(
    "Do this step in float32 (`with torch.autocast(device_type, enabled=False)`, and `.float()` on its inputs), or use"
    " a larger epsilon: float16 rounds 1e-8 to 0, and bfloat16 has 8 significant bits."
)
def rounds_to_zero(case: Case) -> str | None:
    """Find an operation that is undefined at 0, which a value reaches in half precision only."""
    broken, compared = case.broken, case.compared
    if broken is None or broken.exact is not None or not case.control_is_good or not case.recipe.dtypes:
        return None
    rounded = compared.rounded if compared is not None else None
    # A zero that float32 has as well is meant, such as that of a mask.
    if not broken.zeros or rounded is False or (rounded is None and broken.dtype not in _HALF):
        return None
    dtype = broken.dtype if broken.dtype in _HALF else " or ".join(sorted(case.recipe.dtypes))
    if rounded:
        return f"{broken.place} gets a 0 in {dtype} that is not 0 in float32, and returns NaN or infinity"
    return (
        f"{broken.place} gets a 0 in {dtype} and returns NaN or infinity; in float32 the training is finite, so"
        " the value is not 0 there"
    )


@cause("Keep the inputs away from where this operation is undefined: add an epsilon, or clamp them.")
def undefined_operation(case: Case) -> str | None:
    """Find an operation whose result is not finite in a wider dtype either."""
    broken = case.broken
    if broken is None or broken.exact is not None:
        return None
    values = "the finite values that it gets" if not broken.zeros else "the values that it gets, among them 0,"
    if broken.by_number_zero:
        values = "what it divides by the number 0,"
    where = f"under {case.recipe.name}; float32 trains" if _only_here(case) else "in every precision"
    return f"{broken.place} returns NaN or infinity for {values} {where}"


def _only_here(case: Case) -> bool:
    return case.recipe.name != CONTROL and case.control_is_good


@cause("Train in float16 with a GradScaler, or in float32: bfloat16 drops bits of these weights.")
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


@cause(
    "Look at what the named function computes: a norm over one value, a softmax over one class, a rounding or a factor"
    " of 0 has the same result for all weights before it."
)
def body_without_signal(case: Case) -> str | None:
    """Find a training in which most weights have no gradient but rounding, in float32 as well."""
    control = case.control
    silent = case.run.no_signal or (control.no_signal if control is not None else None)
    if silent is None or case.run.is_broken or case.run.has_no_gradient:
        return None
    what = "exactly 0" if silent.exact else "0 or nothing but rounding, and other weights give the same loss"
    place = f": {silent.place} passes no gradient on" if silent.place is not None else ""
    return (
        f"the loss does not depend on {silent.tensors} of {silent.of} trainable tensors (the first is {silent.first}):"
        f" their gradients are {what}{place}"
    )


@cause("Use a GradScaler, or train in bfloat16.")
def gradients_underflow(case: Case) -> str | None:
    """Find gradients that are 0 here and not in float32, without loss scaling."""
    share = case.run.vanished
    # After an explosion, saturated activations have a gradient of 0 in every precision.
    if share is None or share < MIN_VANISHED_SHARE or case.recipe.scaled or case.run.exploded:
        return None
    return f"{share:.0%} of the gradients that are not 0 in float32 underflow to 0, and there is no loss scaling"
