"""The named causes by which weights do not move although every loss is finite: asked after those in causes.py."""

from vc2doctor.core.wording import counted
from vc2doctor.probe.case import MIN_MOVED_SHARE, MIN_STEP_SHARE, Case
from vc2doctor.probe.named_cause import cause
from vc2doctor.probe.step_warnings import place_of_broadcast
from vc2doctor.probe.weak import falls_beside_float32


@cause("Make all layers in __init__, and create the optimizer after them.")
def parameters_made_in_forward(case: Case) -> str | None:
    """Find layers that the forward pass makes: no optimizer holds them, and each step may begin with new ones."""
    made = case.run.made_in_forward
    if made is None:
        return None
    return (
        f"the forward pass makes {counted(made.tensors, 'trainable tensor')} (the first is {made.first}), which the"
        " optimizer does not hold"
    )


@cause(
    "Keep layers in nn.ModuleList or nn.ModuleDict, and single tensors in nn.Parameter, nn.ParameterList or"
    " nn.ParameterDict. A network that must not be trained is frozen: `requires_grad_(False)` and `eval()`."
)
def parameters_not_registered(case: Case) -> str | None:
    """Find layers or tensors in a plain list, dict or attribute, which no module and no optimizer knows of."""
    kept = case.run.unregistered
    if kept is None:
        return None
    line = f" ({kept.file}:{kept.line})" if kept.file else ""
    return (
        f"the model keeps {counted(kept.tensors, 'tensor')} outside of its parameters, in a plain list, dict or"
        f" attribute: the first is {kept.first}, of shape {kept.shape}{line}. The loss depends on them, and the"
        " optimizer does not hold them"
    )


@cause("Check that training calls these layers at all: adapters on modules that are not used learn nothing.")
def untouched_parameters(case: Case) -> str | None:
    """Find trainable tensors that get no gradient."""
    missing = case.run.missing
    if missing is None:
        return None
    draws = f", in {missing.passes} passes with other random draws as well" if missing.passes else ""
    return (
        f"the loss does not depend on {missing.missing} of {missing.tensors} trainable tensors (the first is"
        f" {missing.first_missing}){draws}"
    )


@cause(
    "Look for what makes the loss independent of the weights: a ReLU or clamp that is saturated everywhere, a factor of"
    " 0, rounding, or weights that start at 0 on both sides of a product."
)
def gradients_all_zero(case: Case) -> str | None:
    """Find a training in which every gradient is 0 at every step, in float32 as well."""
    control = case.control
    if not case.run.has_no_gradient or control is None or not control.has_no_gradient:
        return None
    silent = case.run.silent or control.silent
    place = silent.place if silent is not None else None
    why = f"{place} passes no gradient on" if place is not None else "the loss does not change with the weights"
    return f"every gradient is exactly 0 at every step, in float32 as well: {why}"


@cause("Set a learning rate above 0, and check what a warm-up schedule gives at its first steps.")
def rate_is_zero(case: Case) -> str | None:
    """Find a learning rate of 0."""
    highest = [step.highest_rate for step in case.run.steps if step.highest_rate is not None]
    if (any(highest) if highest else case.rate != 0.0) or case.run.moved != 0.0:
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
    adapters, moved = case.run.adapters, case.run.moved
    outside = adapters.outside if adapters is not None else 0
    if not taken or moved is None or moved >= MIN_MOVED_SHARE or (moved and not outside):
        return None
    if adapters is None or not outside:
        return (
            "the optimizer took steps, but no trainable parameter changed: it holds other tensors, or its learning rate"
            " is 0"
        )
    foreign = f", and holds {counted(adapters.foreign, 'tensor')} that it does not have" if adapters.foreign else ""
    return (
        f"the optimizer does not hold {counted(outside, 'trainable tensor')} of the model (the first is"
        f" {adapters.first_outside}){foreign}"
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


@cause(
    "Look for what this precision computes otherwise: positions, counts or times in a half dtype (compute them in"
    " float32), gradients that are clipped before `scaler.unscale_`, and weights in bfloat16 that round small updates"
    " away."
)
def slower_than_float32(case: Case) -> str | None:
    """Find a loss that hardly falls here although it falls in float32, from the same weights and batches."""
    falls = falls_beside_float32(case.run, case.control)
    if falls is None:
        return None
    return (
        f"with the same weights, batches and random numbers the loss falls by {falls[1]:.1%} in float32 and by"
        f" {falls[0]:.1%} here, so {case.recipe.name} loses what the model learns from"
    )


@cause("Give the targets the shape of the predictions: `target[:, None]`, or `prediction.squeeze(-1)`.")
def loss_broadcast(case: Case) -> str | None:
    """Find a loss that compares each prediction of a batch with the targets of all rows."""
    found = place_of_broadcast(case.run, case.probe)
    if found is None or case.run.is_broken:
        return None
    line = f" ({found.file}:{found.line})" if found.file else ""
    return (
        f"predictions of shape ({found.rows}, 1) and targets of shape ({found.rows},), or the other way round, make a"
        f" loss of shape ({found.rows}, {found.rows}){line}: the model learns the mean of all targets"
    )
