"""In which precision recipe of the probe the code of a project trains, as far as that can be read."""

from collections.abc import Mapping

from vc2doctor.linter.analyse.autocast import Region
from vc2doctor.linter.analyse.entry_points import EntryPoint, entries_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loss_scaling import scalers_of, scaling
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.analyse.values import BFLOAT, FLOAT, HALF, Dtype, Value
from vc2doctor.target.shared.recipes import RECIPES


def recipes_of(facts: Facts) -> dict[str, str]:
    """Return the recipe of every entry point, as far as it can be read; of several in one, the one most at risk."""
    found: dict[str, str] = {}
    for unit in facts.code.units.values():
        for region, entry in _trained(facts, unit):
            recipe = _recipe(facts, unit, region, entry)
            name = entry.loop.function.module.name
            if recipe is not None:
                found[name] = min(found.get(name, recipe), recipe, key=_risk)
    if not found:
        flagged = {unit.folder or ".": _flagged(facts, unit) for unit in facts.code.units.values()}
        found = {name: recipe for name, recipe in flagged.items() if recipe is not None}
    return found


def deciding(recipes: Mapping[str, str]) -> str | None:
    """Return the recipe to judge a project by: the one most at risk, as a fit environment must bear each."""
    return min(recipes.values(), key=_risk, default=None)


def _trained(facts: Facts, unit: Unit) -> list[tuple[Region | None, EntryPoint]]:
    inner = [
        region
        for region in facts.autocast.regions
        if region.stage is Stage.TRAINS
        and not region.autocast.off
        and region.place.function.cls is not None
        and facts.code.unit_of(region.place.module) is unit
    ]
    pairs: list[tuple[Region | None, EntryPoint]] = [
        (region, entry) for region in inner for entry in entries_of(facts, region)
    ]
    if pairs:
        return pairs
    loops = [loop for loop in facts.loops.of(unit) if loop.regions]
    return [
        (
            None,
            EntryPoint(
                loop.function.module.name, frozenset(value for region in loop.regions for value in region.dtypes), loop
            ),
        )
        for loop in loops
    ]


def _recipe(facts: Facts, unit: Unit, region: Region | None, entry: EntryPoint) -> str | None:
    computes = region.dtypes if region is not None else entry.dtypes
    weights = _weights(facts, unit, region)
    scaled = bool(scaling(facts, entry.loop)) and any(
        scaler.enabled != {False} for scaler in scalers_of(facts, unit, entry.loop)
    )
    if len(computes) != 1 or len(weights) != 1:
        return None
    (compute,), (weight,) = computes, weights
    if not (isinstance(compute, Dtype) and isinstance(weight, Dtype)):
        return None
    if region is not None and compute == HALF and BFLOAT in entry.dtypes:
        return "bf16-in-fp16-autocast"
    return _recipe_of(weight, compute, scaled=scaled)


def _recipe_of(weights: Dtype, computes_in: Dtype, *, scaled: bool) -> str | None:
    """Return the probe's recipe for two dtypes and loss scaling; one whose regions contradict has it either way."""
    for recipe in RECIPES.values():
        same = (recipe.base, recipe.computes_in) == (weights.name, computes_in.name)
        if same and (recipe.contradicts or recipe.scaled is scaled):
            return recipe.name
    return None


def _risk(name: str) -> int:
    """Return a key that sorts the riskiest recipe first."""
    return -RECIPES[name].risk


def _weights(facts: Facts, unit: Unit, region: Region | None) -> frozenset[Value]:
    cls = region.place.function.cls if region is not None else None
    family = facts.code.family(cls) if cls is not None else []
    loads = [
        load
        for load in facts.weights.trained_loads(unit)
        if not load.inert and facts.values.reached(load.place) is not False
    ]
    mine = [load for load in loads if load.place.function.cls in family] if family else loads
    found = frozenset(value for load in mine for value in load.dtypes)
    return found or frozenset([FLOAT])


def _flagged(facts: Facts, unit: Unit) -> str | None:
    """Return the recipe that the flags of transformers' trainer say: float32 weights under its autocast."""
    for launch in unit.launches:
        for flag, recipe in (("--bf16", "bf16-amp"), ("--fp16", "fp16-amp")):
            value = launch.flags.get(flag, ("False", 0))[0]
            if value is None or value.lower() in ("true", "1"):
                return recipe
    for name, calls in unit.calls.items():
        if name.endswith(("TrainingArguments", "SFTConfig")):
            for call in calls:
                for key, recipe in (("bf16", "bf16-amp"), ("fp16", "fp16-amp")):
                    given = call.argument(key)
                    if given is not None and facts.values.decide(given, call.place):
                        return recipe
    return None
