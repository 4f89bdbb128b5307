"""The named causes by which weights do not move although every loss is finite: asked after those in causes.py."""

from vc2doctor.probe.case import MIN_MOVED_SHARE, MIN_STEP_SHARE, Case
from vc2doctor.probe.named_cause import cause
from vc2doctor.target.shared.recipes import CONTROL


@cause("Check that training calls these layers at all: adapters on modules that are not used learn nothing.")
def untouched_parameters(case: Case) -> str | None:
    """Find trainable tensors that get no gradient."""
    last = case.run.steps[-1].gradients if case.run.steps else None
    if last is None or not last.missing:
        return None
    return (
        f"the loss does not depend on {last.missing} of {last.tensors} trainable tensors (the first is"
        f" {last.first_missing})"
    )


@cause(
    "Look for what makes the loss independent of the weights: a ReLU or clamp that is saturated everywhere, a factor of"
    " 0, rounding, or weights that start at 0 on both sides of a product."
)
def gradients_all_zero(case: Case) -> str | None:
    """Find a training in which every gradient is 0 at every step, in float32 as well."""
    steps = case.run.steps
    if not steps or any(step.gradients.zero + step.gradients.missing < step.gradients.tensors for step in steps):
        return None
    control = case.probe.recipe(CONTROL)
    if control is None or any(step.gradients.zero < step.gradients.tensors for step in control.steps):
        return None
    return "every gradient is exactly 0 at every step, in float32 as well: the loss does not change with the weights"


@cause("Set a learning rate above 0, and check what a warm-up schedule gives at its first steps.")
def rate_is_zero(case: Case) -> str | None:
    """Find a learning rate of 0."""
    if case.rate != 0.0 or case.run.moved != 0.0:
        return None
    return "the learning rate is 0"


@cause(
    "Lower the learning rate to the one that works, and use a warm-up. Clip gradients as well:"
    " `torch.nn.utils.clip_grad_norm_(parameters, 1.0)`."
)
def rate_too_high(case: Case) -> str | None:
    """Find a loss that rises while every step is finite, and falls at a lower learning rate."""
    lower = case.lower_rate
    if lower is None or case.run.is_broken:
        return None
    rate = f"a learning rate of {case.rate:g}" if case.rate is not None else "this learning rate"
    return f"every step is finite, but the loss rises at {rate} and falls at {lower}: the rate is too high"


@cause("Create the optimizer last, from the parameters of the model that you train, with a learning rate above 0.")
def parameters_not_in_optimizer(case: Case) -> str | None:
    """Find a training in which steps are taken and no parameter changes."""
    taken = any(step.taken for step in case.run.steps) and not case.run.is_broken
    if not taken or case.run.moved != 0.0:
        return None
    return (
        "the optimizer took steps, but no trainable parameter changed: it holds other tensors, or its learning rate"
        " is 0"
    )


@cause(
    "Train weights in float32 under bfloat16 autocast (load the model with dtype=torch.float32 and keep bf16=True), or"
    " use an optimizer that rounds at random or keeps float32 copies."
)
def weights_round_updates_away(case: Case) -> str | None:
    """Find weights whose dtype rounds the steps of the project's own learning rate away."""
    rate = case.run.plan_rate
    if rate is None or rate.moved >= MIN_STEP_SHARE:
        return None
    return f"{rate.description}: in {case.recipe.base} the others round back to the number that they were"


@cause("Keep the trainable parameters in float32, or raise the learning rate.")
def updates_too_small(case: Case) -> str | None:
    """Find updates that are smaller than the spacing of numbers in the dtype of the parameters."""
    moved, share = case.run.moved, case.run.would_move
    if case.run.is_broken:
        return None
    if moved is not None and moved < MIN_MOVED_SHARE:
        return f"only {moved:.1%} of the trainable parameters changed: their dtype rounds smaller updates away"
    if share is None or share >= MIN_STEP_SHARE:
        return None
    return f"at the project's learning rate, one step changes only {share:.0%} of the adapter weights"
