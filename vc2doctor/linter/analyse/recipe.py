"""Maps the code of a project to the precision recipes of the probe, as far as the code can be read."""

import ast
from collections.abc import Iterator, Mapping

from vc2doctor.linter.analyse.autocast import Region
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, FLOAT32, Dtype, Value
from vc2doctor.linter.analyse.entry_points import EntryPoint, entry_points_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loss_scaling import scale_calls, scalers_of
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.analyse.trained_kind import specialized
from vc2doctor.linter.read.config import Launch
from vc2doctor.linter.read.module import last_name
from vc2doctor.target.shared.recipes import DEFAULT_RECIPES, RECIPES

_RECIPES_OF_FLAGS = (("bf16", "bf16-amp"), ("fp16", "fp16-amp"))
"""The flags of transformers' trainer, and their recipes for float32 weights."""

_RECIPES_OF_PRECISIONS: Mapping[str, str] = {"bf16": "bf16-amp", "fp16": "fp16-amp", "no": "fp32"}
"""What launchers and trainers are asked for, and its recipe."""


def recipes_of(facts: Facts) -> dict[str, str]:
    """Return the recipe of every entry point that could be read; for one with several recipes, the riskiest.

    For a program without a region of its own, the flags of transformers' trainer decide: one program for each unit.
    """
    return {name: specialized(facts, recipe) for name, recipe in _recipes_by_precision(facts).items()}


def _recipes_by_precision(facts: Facts) -> dict[str, str]:
    recipes: dict[str, str] = {}
    for unit in facts.code.units.values():
        for region, entry_point in _trained_regions(facts, unit):
            recipe = _recipe_of_region(facts, unit, region, entry_point)
            name = entry_point.loop.function.module.name
            if recipe is not None:
                recipes[name] = min(recipes.get(name, recipe), recipe, key=_riskiest_first)
    for unit in facts.code.units.values():
        for name, recipe in _recipe_of_flags(facts, unit):
            recipes.setdefault(name, recipe)
    return recipes


def recipes_of_launches(facts: Facts) -> dict[str, str]:
    """Return the recipe of every command whose flags or files ask for one precision; float32 weights under autocast."""
    recipes: dict[str, str] = {}
    for unit in facts.code.units.values():
        for run in facts.runs.of(unit):
            asked = {setting.value for setting in run.precisions}
            recipe = _RECIPES_OF_PRECISIONS.get(asked.pop()) if len(asked) == 1 else None
            if run.launch is not None and recipe is not None:
                recipes[run.launch.program] = recipe
    return recipes


def riskiest_recipe(recipes: Mapping[str, str]) -> str | None:
    """Return the riskiest recipe of a project: an environment that fits must be able to run it. ``None``: no recipe."""
    return min(recipes.values(), key=_riskiest_first, default=None)


def _riskiest_first(name: str) -> int:
    return -RECIPES[name].risk


def _trained_regions(facts: Facts, unit: Unit) -> list[tuple[Region | None, EntryPoint]]:
    """Return the regions of the unit's models with the entry points that run them; without any, the loops alone."""
    regions_of_models = [
        region
        for region in facts.autocast.training_regions(unit)
        if not region.autocast.is_disabled and region.place.function.cls is not None
    ]
    pairs: list[tuple[Region | None, EntryPoint]] = [
        (region, entry_point) for region in regions_of_models for entry_point in entry_points_of(facts, region)
    ]
    return pairs or [(None, entry_point) for entry_point in _entry_points_of_loops(facts, unit)]


def _entry_points_of_loops(facts: Facts, unit: Unit) -> Iterator[EntryPoint]:
    for loop in facts.loops.of(unit):
        if loop.regions:
            dtypes = frozenset(dtype for region in loop.regions for dtype in region.dtypes)
            yield EntryPoint(loop.function.module.name, dtypes, loop)


def _recipe_of_region(facts: Facts, unit: Unit, region: Region | None, entry_point: EntryPoint) -> str | None:
    compute = _only(region.dtypes if region is not None else entry_point.dtypes)
    weights = _only(_weight_dtypes(facts, unit, region))
    if compute is None or weights is None:
        return None
    if region is not None and compute == FLOAT16 and BFLOAT16 in entry_point.dtypes:
        return "bf16-in-fp16-autocast"
    scaled = bool(scale_calls(facts, entry_point.loop)) and any(
        scaler.enabled != {False} for scaler in scalers_of(facts, unit, entry_point.loop)
    )
    return _recipe(weights.name, compute.name, scaled=scaled)


def _recipe(weights: str, compute: str, *, scaled: bool) -> str | None:
    """Return the recipe with these dtypes, if there is one."""
    for name in DEFAULT_RECIPES:
        recipe = RECIPES[name]
        matches = (recipe.base, recipe.computes_in) == (weights, compute)
        # The recipes whose regions contradict each other exist in one variant only, with or without scaling.
        if matches and (recipe.contradicts or recipe.scaled is scaled):
            return recipe.name
    return None


def _with_weights(facts: Facts, unit: Unit, name: str) -> str:
    """Return the recipe that differs from ``name`` by the dtype of the unit's weights, if that is known and has one."""
    recipe, weights = RECIPES[name], _only(_cast_dtypes(facts, unit) or _weight_dtypes(facts, unit, None))
    other = _recipe(weights.name, recipe.computes_in, scaled=recipe.scaled) if weights is not None else None
    # The trainer opens one region, so nothing contradicts itself by its flag.
    return other if other is not None and not RECIPES[other].contradicts else name


def _only(dtypes: frozenset[Value]) -> Dtype | None:
    """Return the dtype if it is the only one and known."""
    dtype = next(iter(dtypes)) if len(dtypes) == 1 else None
    return dtype if isinstance(dtype, Dtype) else None


def _weight_dtypes(facts: Facts, unit: Unit, region: Region | None) -> frozenset[Value]:
    """Return the dtypes in which the weights of a region's model are loaded; without any load, float32."""
    cls = region.place.function.cls if region is not None else None
    related = facts.code.related_classes(cls) if cls is not None else []
    loads = [
        load
        for load in facts.weights.trained_loads(unit)
        if not load.is_inert and facts.values.is_reached(load.place) is not False
    ]
    own = [load for load in loads if load.place.function.cls in related] if related else loads
    return frozenset(dtype for load in own for dtype in load.dtypes) or frozenset([FLOAT32])


def _cast_dtypes(facts: Facts, unit: Unit) -> frozenset[Value]:
    """Return the dtypes of the unit's casts of models that train: ``Model(config).half()``."""
    return frozenset(
        dtype
        for cast in facts.weights.casts
        if (cast.is_of_module or _is_construction(cast.receiver))
        and not cast.is_of_frozen
        and cast.stage is Stage.TRAINS
        and facts.code.unit_of(cast.call.place.module) is unit
        and facts.values.is_reached(cast.call.place) is not False
        for dtype in cast.dtypes
    )


def _is_construction(node: ast.expr) -> bool:
    """Return whether an expression constructs an object: what a layer returns is a tensor."""
    return isinstance(node, ast.Call) and last_name(node.func)[:1].isupper()


def _recipe_of_flags(facts: Facts, unit: Unit) -> Iterator[tuple[str, str]]:
    """Yield the first program with flags of transformers' trainer, in launch scripts or in code, and its recipe."""
    for launch in unit.launches:
        for flag, recipe in _RECIPES_OF_FLAGS:
            if _is_on(launch, flag):
                yield launch.program, _with_weights(facts, unit, recipe)
                return
    for name, calls in unit.calls.items():
        for call in calls if name.endswith(("TrainingArguments", "SFTConfig")) else ():
            for flag, recipe in _RECIPES_OF_FLAGS:
                argument = call.argument(flag)
                if argument is not None and facts.values.truth(argument, call.place):
                    yield call.place.module.name, _with_weights(facts, unit, recipe)
                    return


def _is_on(launch: Launch, name: str) -> bool:
    flag = launch.flags.get(f"--{name}")
    # Unlike Flag.is_on, this does not accept "yes".
    return flag is not None and (flag.value is None or flag.value.lower() in ("true", "1"))
