"""In which precision recipe of the probe the code of a project trains, as far as that can be read."""

from collections.abc import Mapping

from vc2doctor.lint.code import Unit
from vc2doctor.lint.entries import Entry, entries_of
from vc2doctor.lint.precision import Region
from vc2doctor.lint.rules.vc104_scaling import scalers_of, scaling
from vc2doctor.lint.stage import Stage
from vc2doctor.lint.values import BFLOAT, FLOAT, HALF, Dtype, Value
from vc2doctor.lint.weights import Facts

# Weights, what is computed in, and whether the loss is scaled, by the probe's names of recipes.
_RECIPES: dict[tuple[Dtype, Dtype, bool], str] = {
    (FLOAT, FLOAT, False): "fp32",
    (BFLOAT, BFLOAT, False): "bf16",
    (BFLOAT, BFLOAT, True): "bf16-scaled",
    (FLOAT, BFLOAT, False): "bf16-amp",
    (HALF, HALF, True): "fp16-scaled",
    (HALF, HALF, False): "fp16-unscaled",
    (FLOAT, HALF, True): "fp16-amp",
    # bfloat16 weights that are computed with in float16: the half-made cure, with or without a scaler.
    (BFLOAT, HALF, False): "bf16-in-fp16-autocast",
    (BFLOAT, HALF, True): "bf16-in-fp16-autocast",
}

_RISK = (
    *("bf16-in-fp16-autocast", "fp16-unscaled", "fp16-scaled", "fp16-amp", "bf16-scaled", "bf16", "bf16-amp"),
    "fp32",
)
"""The recipes, the one that most often fails first."""


def recipes_of(facts: Facts) -> dict[str, str]:
    """Return the recipe of every entry point, as far as it can be read; of several in one, the one most at risk."""
    found: dict[str, str] = {}
    for unit in facts.code.units.values():
        for region, entry in _trained(facts, unit):
            recipe = _recipe(facts, unit, region, entry)
            name = entry.loop.function.module.name
            if recipe is not None:
                found[name] = min(found.get(name, recipe), recipe, key=_RISK.index)
    if not found:
        flagged = {unit.folder or ".": _flagged(facts, unit) for unit in facts.code.units.values()}
        found = {name: recipe for name, recipe in flagged.items() if recipe is not None}
    return found


def deciding(recipes: Mapping[str, str]) -> str | None:
    """Return the recipe to judge a project by: the one most at risk, as a fit environment must bear each."""
    return min(recipes.values(), key=_RISK.index, default=None)


def _trained(facts: Facts, unit: Unit) -> list[tuple[Region | None, Entry]]:
    inner = [
        region
        for region in facts.regions
        if region.stage is Stage.TRAINS
        and not region.autocast.off
        and region.place.function.cls is not None
        and facts.code.unit_of(region.place.module) is unit
    ]
    pairs: list[tuple[Region | None, Entry]] = [
        (region, entry) for region in inner for entry in entries_of(facts, region)
    ]
    if pairs:
        return pairs
    loops = [loop for loop in facts.loops_of(unit) if loop.regions]
    return [
        (
            None,
            Entry(
                loop.function.module.name, frozenset(value for region in loop.regions for value in region.dtypes), loop
            ),
        )
        for loop in loops
    ]


def _recipe(facts: Facts, unit: Unit, region: Region | None, entry: Entry) -> str | None:
    computes = region.dtypes if region is not None else entry.dtypes
    weights = _weights(facts, unit, region)
    scaled = bool(scaling(facts, entry.loop)) and any(
        scaler.enabled != {False} for scaler in scalers_of(facts, unit, entry.loop)
    )
    if len(computes) != 1 or len(weights) != 1:
        return None
    (compute,), (weight,) = computes, weights
    if region is not None and compute == HALF and BFLOAT in entry.dtypes:
        return "bf16-in-fp16-autocast"
    return _RECIPES.get((weight, compute, scaled))


def _weights(facts: Facts, unit: Unit, region: Region | None) -> frozenset[Value]:
    cls = region.place.function.cls if region is not None else None
    family = facts.code.family(cls) if cls is not None else []
    loads = [
        load for load in facts.trained_loads(unit) if not load.inert and facts.values.reached(load.place) is not False
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
