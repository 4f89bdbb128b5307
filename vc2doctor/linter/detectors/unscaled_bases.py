"""Bases in float16 whose adapters or prefixes are trained without loss scaling."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.asked import Asked, asked_of
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lineage import Trained
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.analyse.weights import Cast
from vc2doctor.linter.detectors.quantized_compute import compute_dtypes
from vc2doctor.linter.detectors.trained_dtype import half_models
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Module


def unscaled_bases(facts: Facts) -> Iterator[CodeFinding]:
    """Yield casts of a base to float16 where the run that trains its adapters or its prefix scales no loss."""
    reported: set[ast.expr] = set()
    for model in half_models(facts):
        is_cast = model.cause.load is None and model.cause.dtype == FLOAT16
        if is_cast and model.has_adapter and _is_unscaled(model.asked) and model.cause.node not in reported:
            reported.add(model.cause.node)
            yield _unscaled(model.cause.module, model.cause.node, model.asked, "adapters")
    yield from _unscaled_loads(facts)
    for cast in facts.weights.casts:
        trained = _trainer_of_float32_part(facts, cast)
        if trained is not None and cast.call.node not in reported:
            asked = asked_of(facts, trained)
            if _is_unscaled(asked):
                reported.add(cast.call.node)
                yield _unscaled(cast.call.place.module, cast.call.node, asked, "part that is cast back to float32")


def _unscaled_loads(facts: Facts) -> Iterator[CodeFinding]:
    """Yield loads in float16, and 4-bit bases that compute in it, whose adapters a trainer without fp16 trains."""
    reported: set[ast.expr] = set()
    for trained in facts.lineages.trained:
        if not trained.is_by_trainer or not _has_adapters(trained):
            continue
        asked = asked_of(facts, trained)
        for module, node, is_certain in _float16_bases(facts, trained) if _is_unscaled(asked) else ():
            if node not in reported:
                reported.add(node)
                finding = _unscaled(module, node, asked, "adapters")
                yield finding if is_certain else finding.model_copy(update={"severity": Severity.NOTE})


def _has_adapters(trained: Trained) -> bool:
    config = trained.consumer.argument("peft_config")
    is_given = config is not None and not (isinstance(config, ast.Constant) and config.value is None)
    return is_given or trained.lineage.adapter is not None


def _float16_bases(facts: Facts, trained: Trained) -> Iterator[tuple[Module, ast.expr, bool]]:
    """Yield what makes a base compute in float16, with whether it does so in every run."""
    nodes = {maker.node for maker in trained.lineage.makers}
    for load in facts.weights.loads:
        if load.node in nodes and FLOAT16 in load.dtypes and load.quantized is None:
            yield load.place.module, load.node, load.dtypes == {FLOAT16} and len(nodes) == 1
    for config, argument in compute_dtypes(facts, trained):
        dtypes = facts.values.dtypes(argument, config.place)
        if FLOAT16 in dtypes:
            is_certain = dtypes == {FLOAT16} and facts.values.is_reached(config.place) is True
            yield config.place.module, argument, is_certain and len(nodes) == 1


def _is_unscaled(asked: Asked) -> bool:
    return asked.scales_float16 is False and asked.bf16 is False and not asked.has_engine


def _trainer_of_float32_part(facts: Facts, cast: Cast) -> Trained | None:
    """Return what trains a float16 model of which a part is then cast back: ``model.prefix.float()``."""
    place = cast.call.place
    if cast.dtypes != {FLOAT16} or not isinstance(cast.receiver, ast.Name) or is_inference_path(place.module.name):
        return None
    owner = f"{cast.receiver.id}."
    is_cast_back = any(
        call.name == "float"
        and isinstance(call.node.func, ast.Attribute)
        and ast.unparse(call.node.func.value).startswith(owner)
        and call.node.lineno > cast.call.node.lineno
        for call in place.module.calls_in(place.function)
    )
    if not is_cast_back:
        return None
    return next((each for each in facts.lineages.trained if each.consumer.place.function is place.function), None)


def _unscaled(module: Module, node: ast.expr, asked: Asked, part: str) -> CodeFinding:
    return build.at_node(
        module,
        node,
        "VC104",
        Severity.WARNING,
        f"the base computes in float16, and the gradients of its {part} pass through it without loss scaling: "
        "small gradients become zero",
        evidence=(asked.why,) if asked.why else (),
        remedy="Load the base in bfloat16, or train with fp16=True, which scales the loss.",
        url=build.AMP_EXAMPLES_URL,
        role="scaler",
    )
