"""The dtype of what is trained, against the scaler and the trainer that trains it."""

import ast
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.asked import Asked, asked_of
from vc2doctor.linter.analyse.autocast import HALF_DTYPES
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lineage import Lineage, Trained
from vc2doctor.linter.analyse.weights import Cast, Load
from vc2doctor.linter.knowledge.model_families import Family, family_of
from vc2doctor.linter.model import CodeFinding, Edit
from vc2doctor.linter.read.module import Call, Module, last_name
from vc2doctor.linter.to_bfloat16 import cast_to_bfloat16, float16_to_bfloat16

_UNSCALE_URL = "https://github.com/pytorch/pytorch/issues/127176"
_PURE_URL = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html"
BFLOAT16_EFFECT = "85 % of their weights do not move at a learning rate of 1e-5"
"""What happens to parameters that are trained in bfloat16 without float32 copies, measured: the page of VC109."""


class Cause(NamedTuple):
    """The place that decides the dtype of a model's weights."""

    dtype: object
    node: ast.expr
    module: Module
    edits: tuple[Edit, ...]
    load: Load | None


class HalfModel(NamedTuple):
    """A model whose weights are in a half precision when it reaches its trainer."""

    trained: Trained
    cause: Cause
    has_adapter: bool
    """Whether the cause comes before adapters are added: the base is half, and the adapters are trained."""
    asked: Asked

    @property
    def family(self) -> Family | None:
        """The family that the calls which load the model name."""
        texts = (ast.unparse(maker.node) for maker in self.trained.lineage.makers)
        return next((family for family in map(family_of, texts) if family is not None), None)


@lru_cache(maxsize=2)
def half_models(facts: Facts) -> tuple[HalfModel, ...]:
    """Return the models that are trained and whose base, or all of whose weights, are in a half precision.

    Three rules ask for them.
    """
    return tuple(_half_models(facts))


def _half_models(facts: Facts) -> Iterator[HalfModel]:
    for trained in facts.lineages.trained:
        lineage = trained.lineage
        if _is_quantized(facts, lineage) or lineage.is_prepared_for_kbit or _upcasts(trained):
            continue
        cause = _cause_of(facts, lineage)
        if cause is not None:
            adapter = lineage.adapter
            comes_first = adapter is not None and not _is_later(cause, adapter)
            yield HalfModel(trained, cause, comes_first, asked_of(facts, trained))


def _cause_of(facts: Facts, lineage: Lineage) -> Cause | None:
    """Return what decides the dtype of the weights: the last cast, else the load."""
    casts = [cast for cast in facts.lineages.casts_of(lineage) if facts.values.is_reached(cast.call.place) is True]
    floats = [step for step in lineage.steps if step.name == "float"]
    if casts and not floats:
        cast = max(casts, key=lambda cast: (cast.call.place.module.name, cast.call.node.end_lineno or 0))
        dtype = _only_half(cast.dtypes)
        return Cause(dtype, cast.call.node, cast.call.place.module, _edits_of(cast), None) if dtype else None
    if casts or floats:
        return None
    nodes = {maker.node for maker in lineage.makers}
    loads = [load for load in facts.weights.loads if load.node in nodes]
    if len(loads) != len(lineage.makers) or len(loads) != 1 or facts.values.is_reached(loads[0].place) is not True:
        return None
    load = loads[0]
    dtype = _only_half(load.dtypes)
    module = load.place.module
    return Cause(dtype, load.node, module, float16_to_bfloat16(module, load.dtype_expression), load) if dtype else None


def _edits_of(cast: Cast) -> tuple[Edit, ...]:
    return cast_to_bfloat16(cast) if FLOAT16 in cast.dtypes else ()


def _only_half(dtypes: frozenset[object]) -> object | None:
    return next(iter(dtypes)) if len(dtypes) == 1 and dtypes <= HALF_DTYPES else None


def _is_quantized(facts: Facts, lineage: Lineage) -> bool:
    nodes = {maker.node for maker in lineage.makers}
    if any(load.quantized for load in facts.weights.loads if load.node in nodes):
        return True
    texts = [ast.unparse(maker.node).lower() for maker in lineage.makers]
    return any(word in text for text in texts for word in ("gptq", "awq", "int4", "int8", "4bit", "8bit", "quantiz"))


def _upcasts(trained: Trained) -> bool:
    """Return whether the code around a model takes trainable parameters to float32: ``p.data = p.data.float()``."""
    modules = {trained.consumer.place.module, *(call.place.module for call in trained.lineage.makers)}
    for module in modules:
        for place in module.statements:
            statement = place.statement
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
                is_data = ast.unparse(statement.targets[0]).endswith(".data")
                text = ast.unparse(statement.value)
                if is_data and (last_name(statement.value.func) == "float" or "float32" in text):
                    return True
    return False


def _is_later(cause: Cause, adapter: Call) -> bool:
    """Return whether a cast comes after the adapters, so that it casts them, too."""
    if cause.load is not None:
        return False
    if cause.module is not adapter.place.module:
        return False
    ends = (cause.node.end_lineno or 0, cause.node.end_col_offset or 0)
    return ends > (adapter.node.end_lineno or 0, adapter.node.end_col_offset or 0)


def half_bases(facts: Facts) -> Iterator[CodeFinding]:
    """Yield casts to float16 of a base that gradients pass through (VC101). Loads are found without a lineage."""
    reported: set[ast.expr] = set()
    for model in half_models(facts):
        is_new = model.cause.node not in reported
        if is_new and model.has_adapter and model.cause.load is None and model.cause.dtype == FLOAT16:
            reported.add(model.cause.node)
            is_risky = model.family is not None and model.family.trained_in == "bfloat16"
            severity = model.family.severity if is_risky and model.family else Severity.NOTE
            subject = f"{model.family.name}, trained in bfloat16, is" if is_risky and model.family else "the base is"
            yield build.at_node(
                model.cause.module,
                model.cause.node,
                "VC101",
                severity,
                f"{subject} cast to float16, and the gradients of its adapters pass through it",
                evidence=tuple(filter(None, (model.asked.why, model.family.source if model.family else ""))),
                remedy="Cast to bfloat16 on an Ampere or newer GPU.",
                role="weights",
                cause="float16",
                if_missed="the base still computes in float16 where no region says otherwise",
                bf16_edits=model.cause.edits,
            )


def scaled_bfloat16(facts: Facts) -> Iterator[CodeFinding]:
    """Yield bfloat16 parameters that are trained under the scaler of float16 (VC104)."""
    for model in half_models(facts):
        if model.cause.dtype == BFLOAT16 and not model.has_adapter and model.asked.scales_float16:
            yield build.at_node(
                model.cause.module,
                model.cause.node,
                "VC104",
                Severity.ERROR,
                "the parameters are bfloat16 and are trained under the loss scaling of float16, which raises on CUDA",
                evidence=(
                    model.asked.why,
                    "NotImplementedError: _amp_foreach_non_finite_check_and_unscale_cuda has no kernel for BFloat16",
                ),
                remedy="Ask for bf16 instead of fp16, or keep the parameters in float32.",
                url=_UNSCALE_URL,
                role="weights",
            )


def pure_half_models(facts: Facts) -> Iterator[CodeFinding]:
    """Yield models that are trained as a whole in a half precision (VC109)."""
    for model in half_models(facts):
        if model.has_adapter:
            continue
        if model.cause.dtype == FLOAT16 and not (model.asked.has_engine and not model.asked.scales_float16):
            yield _float16_parameters(model)
        elif model.cause.dtype == BFLOAT16 and not model.asked.has_engine and not model.asked.scales_float16:
            yield from _bfloat16_parameters(model)


def _float16_parameters(model: HalfModel) -> CodeFinding:
    if model.asked.scales_float16:
        effect = 'loss scaling raises "Attempting to unscale FP16 gradients" at the first step'
    else:
        effect = "AdamW's eps of 1e-8 is 0 there, and small updates are lost"
    return build.at_node(
        model.cause.module,
        model.cause.node,
        "VC109",
        Severity.ERROR,
        f"the trained parameters are float16: {effect}",
        evidence=tuple(filter(None, (_consumer(model), model.asked.why))),
        remedy="Keep trainable parameters in float32 and let autocast compute in half precision.",
        url=_PURE_URL,
        role="cast",
        cause="float16",
        if_missed="the trainable parameters stay float16, and the first step raises or makes them NaN",
        bf16_edits=model.cause.edits,
    )


def _bfloat16_parameters(model: HalfModel) -> Iterator[CodeFinding]:
    is_known = not model.trained.is_by_trainer or bool(model.asked.why)
    if is_known:
        yield build.at_node(
            model.cause.module,
            model.cause.node,
            "VC109",
            Severity.WARNING,
            "all parameters are bfloat16 and are trained without float32 copies: at a learning rate of 1e-5, "
            "85 % of the weights do not move",
            evidence=tuple(filter(None, (_consumer(model), model.asked.why))),
            remedy="Load them in float32 and let bf16=True or autocast compute in bfloat16, or train with DeepSpeed, "
            "which keeps float32 copies.",
            url=_PURE_URL,
            role="cast",
        )


def _consumer(model: HalfModel) -> str:
    call = model.trained.consumer
    return f"trained by {call.name} at {build.place_of(call.place.module, call.node).location}"
