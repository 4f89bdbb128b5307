"""Why a recipe went wrong: named causes, each decided by evidence. What no evidence decides stays unknown."""

import re
from collections.abc import Callable

from packaging.version import InvalidVersion, Version

from vc2doctor.data import Data
from vc2doctor.probe.model import Broken, ProbeRun, RecipeRun
from vc2doctor.probe.worker.recipes import CONTROL, RECIPES, Recipe

LARGEST = {"float16": 65504.0, "bfloat16": 3.3895e38}
_SMALLEST = {"float16": 2.0**-24, "bfloat16": 9.2e-41}
"""Smallest positive number, subnormals included; half of it and less rounds to 0."""
_HUGE_SCALE, _LARGE, _ROUNDED = 2.0**30, 1e15, 0.02
_MASKED_NAN = (Version("2.1"), Version("2.5"))
"""torch versions whose sdpa makes NaN of rows that are masked entirely:
https://github.com/pytorch/pytorch/issues/110213."""
_HALF_ADAPTERS = (Version("0.7"), Version("0.12"))
"""peft versions that make adapters in the dtype of the base model: matrices/known_issues/peft-half-adapters.toml."""


class Cause(Data):
    """One named cause and what shows that it is the one."""

    id: str
    told: str


class Case(Data):
    """Everything known of one recipe that went wrong."""

    run: RecipeRun
    recipe: Recipe
    probe: ProbeRun

    def version(self, package: str) -> Version | None:
        """Return the version of ``package`` that was imported."""
        found = next((one.version for one in self.probe.imports if one.package == package), None)
        try:
            return Version(found) if found else None
        except InvalidVersion:
            return None

    @property
    def control_is_good(self) -> bool:
        """Whether float32 trained: then the cause has to do with precision."""
        control = self.probe.recipe(CONTROL)
        return control is not None and all(s.loss is not None and s.parameters_finite for s in control.steps)

    @staticmethod
    def first_loss(run: RecipeRun) -> float | None:
        """Return the loss before any step, if it is finite."""
        return run.steps[0].loss if run.steps else None

    @property
    def error(self) -> str:
        """What was raised, or nothing."""
        return self.run.failure.error.message if self.run.failure else ""

    def mended_by(self, change: str) -> bool:
        """Return whether this change lets the training pass the bad step."""
        return self.run.experiments.get(change, False)


def _place(broken: Broken) -> str:
    return f"{broken.op} in {broken.module or 'the model itself'}"


def diagnose(run: RecipeRun, probe: ProbeRun) -> Cause | None:
    """Return the cause of a bad outcome, or ``None`` where nothing decides."""
    case = Case(run=run, recipe=RECIPES[run.recipe], probe=probe)
    for test in _TESTS:
        told = test(case)
        if told is not None:
            return Cause(id=test.__name__.strip("_").replace("_", "-"), told=told)
    return None


def _data_not_finite(case: Case) -> str | None:
    seen = case.probe.inspection
    return f"the batch is not finite before any training: {seen.bad_input}" if seen and seen.bad_input else None


def _weight_not_finite(case: Case) -> str | None:
    seen = case.probe.inspection
    return f"a weight is not finite before any training: {seen.bad_weight}" if seen and seen.bad_weight else None


def _all_labels_ignored(case: Case) -> str | None:
    seen = case.probe.inspection
    if seen is None or not seen.targets or min(seen.targets) > 0 or case.run.failure:
        return None
    return "a batch has no target: all its labels are -100, and the mean over nothing is NaN in every precision"


def _fully_masked_row(case: Case) -> str | None:
    seen = case.probe.inspection
    broken = case.run.located.broken if case.run.located else None
    if seen is None or not seen.masked_rows or broken is None or not re.search("softmax|attention", broken.op):
        return None
    torch = case.version("torch")
    old = torch is not None and _MASKED_NAN[0] <= torch < _MASKED_NAN[1]
    version = "; sdpa of torch 2.1 to 2.4 makes NaN of such rows, torch 2.5 does not" if old else ""
    return f"{seen.masked_rows} rows are masked entirely, and a softmax over nothing is NaN{version}"


def _unscale_half_parameters(case: Case) -> str | None:
    if "Attempting to unscale FP16 gradients" not in case.error:
        return None
    told = "the trainable parameters are float16, and a GradScaler refuses to unscale their gradients"
    return told + _who_made_them(case)


def _autocast_dtype_clash(case: Case) -> str | None:
    if not re.search(r"autocast::prioritize|expected .*(Half|BFloat16)|same dtype|must match.*dtype", case.error):
        return None
    nested = case.recipe.inner is not None and case.recipe.inner != case.recipe.base
    regions = f": a nested {case.recipe.inner} autocast meets {case.recipe.base} weights" if nested else ""
    return f"two half precisions meet in one operation{regions}"


def _nothing_trainable(case: Case) -> str | None:
    if "empty parameter list" not in case.error and "does not require grad" not in case.error:
        return None
    return "no parameter that the loss depends on requires a gradient"


def _parameters_not_in_optimizer(case: Case) -> str | None:
    taken = any(step.taken for step in case.run.steps)
    if not taken or case.run.moved != 0.0 or any(step.gradients.missing for step in case.run.steps):
        return None
    return "steps were taken and no trainable parameter moved: the optimiser holds other tensors, or its rate is 0"


def _half_parameters_under_adam(case: Case) -> str | None:
    adapters = case.run.adapters
    if adapters is None or "float16" not in adapters.dtypes or "Adam" not in adapters.optimizer:
        return None
    eps = adapters.eps or 0.0
    spoiled = [step for step in case.run.steps if not step.parameters_finite]
    if not spoiled or spoiled[0].loss is None or spoiled[0].gradients.non_finite or eps > _SMALLEST["float16"] / 2:
        return None
    mended = ", and float32 adapters mend it" if case.mended_by("float32-adapters") else ""
    told = f"the trainable parameters are float16, in which {adapters.optimizer}'s eps of {eps:g} is 0{mended}"
    return told + _who_made_them(case)


def _who_made_them(case: Case) -> str:
    """Return which peft makes half adapters, where it is the one that was imported."""
    peft = case.version("peft")
    if case.recipe.base != "float16" or peft is None or not _HALF_ADAPTERS[0] <= peft < _HALF_ADAPTERS[1]:
        return ""
    return f"; peft {peft} makes adapters in the dtype of the base model, as 0.7 to 0.11 do"


def _scale_driven_to_zero(case: Case) -> str | None:
    zero = any(step.scale == 0.0 for step in case.run.steps)
    return "the scaler halved its scale to 0, and the next good batch is divided by it" if zero else None


def _scale_too_large(case: Case) -> str | None:
    scales = [step.scale for step in case.run.steps if step.scale is not None]
    taken = any(step.taken for step in case.run.steps)
    finite = all(step.loss is not None for step in case.run.steps)
    if not scales or taken or not finite or scales[0] < _HUGE_SCALE:
        return None
    return f"the scaler began at {scales[0]:g}, so large that every gradient overflows in all its tries"


def _overflow_in_ignored_rows(case: Case) -> str | None:
    located = case.run.located
    if located is None or located.broken is None or not located.broken.ignored_rows_only:
        return None
    broken = located.broken
    return (
        f"{broken.dtype} overflows in {_place(broken)} only in rows that the mask ignores:"
        " the loss may stay finite, and 0 * inf spoils the gradients"
    )


def _bfloat16_checkpoint_in_float16(case: Case) -> str | None:
    seen, overflow = case.probe.inspection, _forward_overflow(case)
    broken = case.run.located.broken if case.run.located else None
    if seen is None or seen.stored != "bfloat16" or broken is None or broken.dtype != "float16" or overflow is None:
        return None
    return f"the weights are exactly bfloat16's, and a model trained in its range need not fit float16's: {overflow}"


def _float16_checkpoint_in_bfloat16(case: Case) -> str | None:
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


def _nested_autocast_overrides(case: Case) -> str | None:
    broken = case.run.located.broken if case.run.located else None
    overflow = _forward_overflow(case)
    if broken is None or broken.dtype != "float16" or overflow is None:
        return None
    if case.recipe.inner == "float16" and case.recipe.outer != "float16":
        return f"the nested float16 autocast overrides the outer {case.recipe.outer or 'float32'}: {overflow}"
    if "float16" not in case.recipe.dtypes:
        return f"{case.recipe.name} has no float16, so the model's own code enters a float16 autocast: {overflow}"
    return None


def _forward_overflow(case: Case) -> str | None:
    located = case.run.located
    if located is None or located.broken is None or located.phase != "forward":
        return None
    broken = located.broken
    largest = LARGEST.get(broken.dtype)
    if largest is None or not case.control_is_good:
        return None
    sizes = " and ".join(f"{size:.4g}" for size in broken.largest if size is not None)
    return f"{_place(broken)} exceeds {largest:g} in {broken.dtype} (inputs up to {sizes})"


def _backward_overflow(case: Case) -> str | None:
    bad = [step for step in case.run.steps if step.gradients.non_finite]
    if not bad or not case.control_is_good or any(step.loss is None for step in case.run.steps):
        return None
    scale = f" at a scale of {bad[0].scale:g}" if bad[0].scale else ""
    return f"the loss is finite and the gradients are not{scale}: the backward pass overflows"


def _overflow_in_every_precision(case: Case) -> str | None:
    broken = case.run.located.broken if case.run.located else None
    if broken is None or case.control_is_good or broken.phase != "forward":
        return None
    sizes = [size for size in broken.largest if size is not None]
    if not sizes or max(sizes) < _LARGE:
        return None
    return f"{_place(broken)} exceeds {broken.dtype} with inputs up to {max(sizes):.4g}, in float32 as well"


def _undefined_operation(case: Case) -> str | None:
    broken = case.run.located.broken if case.run.located else None
    if broken is None or case.control_is_good:
        return None
    return f"{_place(broken)} makes a number that is not finite of finite inputs, in float32 as well"


def _exploding_rate(case: Case) -> str | None:
    if case.control_is_good and not case.mended_by("clip-1.0"):
        return None
    losses = [step.loss for step in case.run.steps if step.loss is not None]
    grows = len(losses) > 1 and losses[-1] > losses[0]
    rate = case.run.adapters.learning_rate if case.run.adapters else None
    if not case.mended_by("clip-1.0") or not (grows or len(losses) == 1):
        return None
    return f"the loss explodes from step to step at a learning rate of {rate:g}, and clipping at 1.0 stops it"


def _gradients_underflow(case: Case) -> str | None:
    share = case.run.vanished
    if share is None or share < 0.1 or case.recipe.scaled:  # noqa: PLR2004 - a tenth of all elements
        return None
    return f"{share:.0%} of the gradients that float32 has are 0 here, with no loss scaling to lift them"


def _untouched_parameters(case: Case) -> str | None:
    last = case.run.steps[-1].gradients if case.run.steps else None
    if last is None or not last.missing:
        return None
    return f"the loss does not depend on {last.missing} of {last.tensors} trainable tensors, {last.first_missing} first"


def _updates_too_small(case: Case) -> str | None:
    adapters = case.run.adapters
    shares = [share for widths in (adapters.would_move if adapters else {}).values() for share in widths.values()]
    moved = case.run.moved
    if moved is not None and moved < 0.1:  # noqa: PLR2004 - as in outcome.py
        return f"only {moved:.1%} of the trainable parameters changed: the steps are smaller than their dtype can hold"
    if not shares or min(shares) > 0.45:  # noqa: PLR2004 - as in outcome.py
        return None
    return f"at the project's learning rate only {min(shares):.0%} of the adapter weights change in one step"


_TESTS: tuple[Callable[[Case], str | None], ...] = (
    _data_not_finite,
    _weight_not_finite,
    _all_labels_ignored,
    _unscale_half_parameters,
    _autocast_dtype_clash,
    _nothing_trainable,
    _half_parameters_under_adam,
    _scale_driven_to_zero,
    _scale_too_large,
    _exploding_rate,
    _fully_masked_row,
    _overflow_in_ignored_rows,
    _nested_autocast_overrides,
    _bfloat16_checkpoint_in_float16,
    _forward_overflow,
    _backward_overflow,
    _overflow_in_every_precision,
    _undefined_operation,
    _float16_checkpoint_in_bfloat16,
    _gradients_underflow,
    _untouched_parameters,
    _parameters_not_in_optimizer,
    _updates_too_small,
)
"""In the order in which they are asked: what is certain first."""
