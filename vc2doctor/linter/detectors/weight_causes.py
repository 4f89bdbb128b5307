"""What makes the weights of a model half precision: its last cast, its load, or an option of the program."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.linter.analyse.autocast import HALF_DTYPES
from vc2doctor.linter.analyse.default_dtype import half_constructions
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16
from vc2doctor.linter.analyse.expressions import value_at
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lineage import Lineage, Trained
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.analyse.weights import Cast, Load
from vc2doctor.linter.model import Edit
from vc2doctor.linter.read.module import Call, Function, Module, Place, last_name
from vc2doctor.linter.to_bfloat16 import cast_to_bfloat16, float16_to_bfloat16

_OPTION = re.compile(r"\b\w*(fp16|bf16|float16|half|precision)\w*\b")
"""Names of options for half precision in conditions."""
_COPIES = re.compile(r"FP16_?Optimizer|BF16_?Optimizer|master_param|prep_param_lists|MixedPrecisionTrainer")
"""Names of optimizers and helpers that keep float32 copies of half-precision parameters, as apex does.

https://nvidia.github.io/apex/fp16_utils.html
"""
MAX_CALLERS = 4
"""Callers of a function that builds a model, which are asked for the dtype that they give."""
_CASTS_TRAINED = "cast_training_params"
"""The function of diffusers that takes trainable parameters to float32."""


class Cause(NamedTuple):
    """The place that decides the dtype of a model's weights."""

    dtype: object
    node: ast.expr
    module: Module
    edits: tuple[Edit, ...]
    load: Load | None
    option: str = ""
    """The condition about the precision that only a run can decide; empty: every run gets there."""
    is_without_engine: bool = False
    """Whether the place is reached only without DeepSpeed."""


def cause_of(facts: Facts, lineage: Lineage) -> Cause | None:
    """Return what decides the dtype of the weights: the last cast, else the load."""
    casts = [cast for cast in facts.lineages.casts_of(lineage) if _is_certain(facts, cast.call.place)]
    floats = [step for step in lineage.steps if step.name == "float"]
    if casts and not floats:
        cast = max(casts, key=lambda cast: (cast.call.place.module.name, cast.call.node.end_lineno or 0))
        dtype = _only_half(cast.dtypes)
        return Cause(dtype, cast.call.node, cast.call.place.module, _edits_of(cast), None) if dtype else None
    if casts or floats:
        return None
    construction = _bfloat16_construction(facts, lineage)
    if construction is not None:
        return construction
    nodes = {maker.node for maker in lineage.makers}
    loads = [load for load in facts.weights.loads if load.node in nodes]
    if len(loads) != len(lineage.makers) or len(loads) != 1 or facts.values.is_reached(loads[0].place) is not True:
        return None
    load = loads[0]
    dtype = _only_half(load.dtypes)
    module = load.place.module
    return Cause(dtype, load.node, module, float16_to_bfloat16(module, load.dtype_expression), load) if dtype else None


def _is_certain(facts: Facts, place: Place) -> bool:
    """Return whether every run gets to a place, as far as its conditions tell, and those of callers about precision."""
    if facts.values.is_reached(place) is not True or is_only_offered(facts, place.function):
        return False
    callers = [call.place for call in facts.code.callers(place.function)]
    return not callers or any(not _asks_for_half(at) or facts.values.is_reached(at) is True for at in callers)


def _asks_for_half(place: Place) -> bool:
    """Return whether a place is under a condition about the precision."""
    return any(_OPTION.search(ast.unparse(condition)) for condition, _ in place.conditions)


def is_only_offered(facts: Facts, function: Function) -> bool:
    """Return whether nothing in the project calls a method, or only branches do that no run gets to: ``to_fp16``."""
    callers = facts.code.callers(function)
    if callers:
        # A function can be handed on as well: `mp.spawn(main_worker)`.
        never_called = all(facts.values.is_reached(call.place) is False for call in callers)
        return never_called and function.cls is not None
    is_method = function.cls is not None and not function.name.startswith("__") and not function.decorators
    if not is_method or function.cls is None or facts.code.same_name_calls(function):
        return False
    # A framework calls methods of the classes that extend its own: `configure_model`.
    bases = [(owner.module, base) for owner in facts.code.mro(function.cls) for base in owner.node.bases]
    return all(ast.unparse(base) == "object" or facts.code.class_named(module, base) for module, base in bases)


def optional_cause(facts: Facts, trained: Trained) -> Cause | None:
    """Return the cast or the dtype of a whole model that an option turns on: ``if args.fp16: model.half()``.

    Optimizers with float32 copies are made for such a cast.
    """
    if any(step.name == "float" for step in trained.lineage.steps):
        return None
    if any(_COPIES.search(module.source.text) for module in trained.modules):
        return None
    lineage = trained.lineage
    causes = (*_optional_casts(facts, lineage), *_chosen_casts(facts, lineage), *_optional_loads(facts, lineage))
    return next(iter(causes), None)


def _optional_casts(facts: Facts, lineage: Lineage) -> Iterator[Cause]:
    for cast in facts.lineages.casts_of(lineage):
        place, dtype = cast.call.place, _only_half(cast.dtypes)
        option = option_of(facts, place) if dtype is not None and cast.stage is not Stage.INFERS else None
        if option is not None:
            has_no_engine = any(_is_without_engine(condition, wanted) for condition, wanted in place.conditions)
            yield Cause(dtype, cast.call.node, place.module, _edits_of(cast), None, option, has_no_engine)


def _chosen_casts(facts: Facts, lineage: Lineage) -> Iterator[Cause]:
    """Yield casts whose dtype an option chooses here or in a caller: ``build(torch.float16 if args.half else …)``."""
    for cast in facts.lineages.casts_of(lineage):
        place, dtype = cast.call.place, cast.dtype_argument
        is_reached = dtype is not None and cast.stage is not Stage.INFERS and facts.values.is_reached(place) is True
        for value, at in _given_dtypes(facts, dtype, place) if dtype is not None and is_reached else ():
            half = _only_half(facts.values.dtypes(value.body, at)) if isinstance(value, ast.IfExp) else None
            option = ast.unparse(value.test) if isinstance(value, ast.IfExp) else ""
            is_open = isinstance(value, ast.IfExp) and facts.values.truth(value.test, at) is None
            if half is not None and is_open and _OPTION.search(option):
                yield Cause(half, cast.call.node, place.module, (), None, option)


def _given_dtypes(facts: Facts, dtype: ast.expr, place: Place) -> Iterator[tuple[ast.expr, Place]]:
    """Yield what a dtype was assigned, through local names, and through a parameter to the arguments of callers."""
    value, at = value_at(dtype, place)
    function = at.function
    if not isinstance(value, ast.Name) or value.id not in function.parameters():
        yield value, at
        return
    for call in facts.code.callers(function)[:MAX_CALLERS]:
        argument = call.argument(value.id, function.position(value.id))
        if argument is not None:
            yield value_at(argument, call.place)


def _optional_loads(facts: Facts, lineage: Lineage) -> Iterator[Cause]:
    """Yield loads whose dtype an option chooses: ``torch_dtype=torch.bfloat16 if args.bf16 else torch.float32``."""
    nodes = {maker.node for maker in lineage.makers}
    loads = [load for load in facts.weights.loads if load.node in nodes]
    for load in loads if len(loads) == len(nodes) else ():
        value, place = value_at(load.dtype_expression, load.place)
        if not isinstance(value, ast.IfExp) or facts.values.is_reached(load.place) is False:
            continue
        option, dtype = ast.unparse(value.test), _only_half(facts.values.dtypes(value.body, place))
        if dtype is not None and _OPTION.search(option) and facts.values.truth(value.test, place) is None:
            yield Cause(dtype, load.node, load.place.module, (), load, option)


def option_of(facts: Facts, place: Place) -> str | None:
    """Return the option for half precision that decides whether a place is reached; ``None``: something else does."""
    if facts.values.is_reached(place) is not None:
        return None
    undecided = [(each, wanted) for each, wanted in place.conditions if facts.values.truth(each, place) is None]
    options = [ast.unparse(each) for each, wanted in undecided if wanted and _OPTION.search(ast.unparse(each))]
    others = [pair for pair in undecided if ast.unparse(pair[0]) not in options]
    return options[0] if options and all(_is_without_engine(*pair) for pair in others) else None


def _is_without_engine(condition: ast.expr, wanted: bool) -> bool:  # noqa: FBT001 - a pair of Place.conditions
    is_negated = isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not)
    return "deepspeed" in ast.unparse(condition).lower() and is_negated is wanted


def cause_of_model(facts: Facts, call: Call) -> Cause | None:
    """Return why the outputs of a model are half precision; ``call`` runs the model: ``model(input_ids)``.

    ``None``: it runs no model whose load is known, or its parameters are taken to float32. A quantized base is no
    exception: its last layer has the dtype of the load.
    """
    model = call.node.func
    lineage = facts.lineages.of(model, call.place)
    if not lineage.makers or lineage.is_prepared_for_kbit:
        return None
    return None if upcasts(Trained(call, model, lineage)) else cause_of(facts, lineage)


def _bfloat16_construction(facts: Facts, lineage: Lineage) -> Cause | None:
    """Return the default dtype of bfloat16 under which a model is constructed. VC101 reports that of float16."""
    for made in half_constructions(facts.code, facts.values, facts.stages):
        module = made.setter.place.module
        constructed = any(
            maker.place.function is made.setter.place.function
            and maker.node.lineno > made.setter.node.lineno
            and facts.code.class_named(module, maker.node.func) is made.cls
            for maker in lineage.makers
        )
        if constructed and made.dtype == BFLOAT16:
            return Cause(BFLOAT16, made.setter.node, module, (), None)
    return None


def _edits_of(cast: Cast) -> tuple[Edit, ...]:
    return cast_to_bfloat16(cast) if FLOAT16 in cast.dtypes else ()


def _only_half(dtypes: frozenset[object]) -> object | None:
    """Return the half precision that weights have. If only the run chooses between the two, it is bfloat16."""
    if not dtypes or not dtypes <= HALF_DTYPES:
        return None
    return BFLOAT16 if BFLOAT16 in dtypes else FLOAT16


def is_quantized(facts: Facts, lineage: Lineage) -> bool:
    """Return whether a model is loaded in quantized weights, by an argument or by its name."""
    nodes = {maker.node for maker in lineage.makers}
    if any(load.quantized for load in facts.weights.loads if load.node in nodes):
        return True
    texts = [ast.unparse(maker.node).lower() for maker in lineage.makers]
    return any(word in text for text in texts for word in ("gptq", "awq", "int4", "int8", "4bit", "8bit", "quantiz"))


def upcasts(trained: Trained) -> bool:
    """Return whether the code around a model takes trainable parameters to float32: ``p.data = p.data.float()``."""
    for module in trained.modules:
        if any(call.name == _CASTS_TRAINED for call in module.calls):
            return True
        for place in module.statements:
            statement = place.statement
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
                is_data = ast.unparse(statement.targets[0]).endswith(".data")
                text = ast.unparse(statement.value)
                if is_data and (last_name(statement.value.func) == "float" or "float32" in text):
                    return True
    return False
