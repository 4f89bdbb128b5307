"""The dtype of what is trained, against the scaler and the trainer that trains it."""

import ast
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.asked import Asked, asked_of
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lineage import Trained
from vc2doctor.linter.detectors.weight_causes import Cause, cause_of, is_quantized, optional_cause, upcasts
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.module import Call, last_name
from vc2doctor.matrix.model_families import Family, family_of

_UNSCALE_URL = "https://github.com/pytorch/pytorch/issues/127176"
_PURE_URL = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html"
MIN_KEPT_RATE = 5e-4
"""Adam moves a weight by about the learning rate. bfloat16 keeps that for weights below 512 times the rate (0.25)."""
_FSDP = re.compile(r"\b(FSDPStrategy|FullyShardedDataParallel|fully_shard)\b")
_FOR_BFLOAT16 = re.compile(r"bf16|bfloat16|kahan|stochastic|\boptimi\b", re.IGNORECASE)
"""Names of optimizers, of their packages and of their arguments that keep what rounding to bfloat16 loses.

https://github.com/pytorch/ao/tree/main/torchao/optim (``bf16_stochastic_round``), https://optimi.benjaminwarner.dev/kahan_summation/
"""
MIN_EPS = 6e-8
"""The smallest number of float16. Half of it and less is rounded to 0."""
BFLOAT16_EFFECT = "85 % of their weights do not move at a learning rate of 1e-5"
"""What happens to parameters that are trained in bfloat16 without float32 copies, measured: the page of VC109."""


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
        if is_quantized(facts, lineage) or lineage.is_prepared_for_kbit or upcasts(trained):
            continue
        cause = cause_of(facts, lineage) or optional_cause(facts, trained)
        if cause is not None:
            adapter = lineage.adapter
            comes_first = adapter is not None and not _is_later(cause, adapter)
            asked = asked_of(facts, trained)
            has_engine = asked.has_engine and not cause.is_without_engine
            yield HalfModel(trained, cause, comes_first, asked._replace(has_engine=has_engine))


def gets_adapters_in_place(trained: Trained) -> bool:
    """Return whether a statement adds adapters to a model, so that they alone are trained: ``unet.add_adapter(…)``."""
    names = {name for _, name in trained.lineage.names}
    calls = (call for module in trained.modules for call in module.calls if call.name == "add_adapter")
    return any(last_name(call.receiver) in names for call in calls if isinstance(call.node.func, ast.Attribute))


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
                Severity.WARNING if model.cause.option else Severity.ERROR,
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
    """Yield models that are trained as a whole in a half precision (VC109), each once for all trainers that get it."""
    reported: set[ast.expr] = set()
    for model in half_models(facts):
        is_whole = not model.has_adapter and not gets_adapters_in_place(model.trained)
        if is_whole and model.cause.node not in reported:
            for finding in _pure_half_model(facts, model):
                reported.add(model.cause.node)
                yield finding


def _pure_half_model(facts: Facts, model: HalfModel) -> Iterator[CodeFinding]:
    if model.cause.dtype == FLOAT16 and not (model.asked.has_engine and not model.asked.scales_float16):
        yield _float16_parameters(facts, model)
    elif model.cause.dtype == BFLOAT16 and not _keeps_copies(model) and not model.asked.scales_float16:
        yield from _bfloat16_parameters(facts, model)


def _keeps_copies(model: HalfModel) -> bool:
    """Return whether an engine may keep float32 copies. FSDP shards the parameters in the dtype that they have.

    accelerate and the trainer of transformers take them to float32 before they give them to FSDP.
    https://docs.pytorch.org/docs/stable/fsdp.html#torch.distributed.fsdp.MixedPrecision
    """
    text = model.trained.consumer.place.module.source.text
    is_plain_fsdp = _FSDP.search(text) is not None and "deepspeed" not in text and "accelerate" not in text
    return model.asked.has_engine and (model.trained.is_by_trainer or not is_plain_fsdp)


def _float16_parameters(facts: Facts, model: HalfModel) -> CodeFinding:
    severity = Severity.ERROR
    if model.asked.scales_float16:
        effect = 'loss scaling raises "Attempting to unscale FP16 gradients" at the first step'
    elif _divides_by_zero(facts, model.trained):
        effect = "AdamW's eps of 1e-8 is 0 there, and small updates are lost"
    else:
        severity = Severity.WARNING
        effect = "gradients are not scaled, and updates below 1/2048 of a weight are lost"
    return build.at_node(
        model.cause.module,
        model.cause.node,
        "VC109",
        Severity.WARNING if model.cause.option else severity,
        f"the trained parameters are float16: {effect}",
        evidence=tuple(filter(None, (_consumer(model), model.asked.why, _of_option(model)))),
        remedy="Keep trainable parameters in float32 and let autocast compute in half precision.",
        url=_PURE_URL,
        role="cast",
        cause="float16",
        if_missed="the trainable parameters stay float16, and the first step raises or makes them NaN",
        bf16_edits=model.cause.edits,
        also=_also(model),
    )


def _divides_by_zero(facts: Facts, trained: Trained) -> bool:
    """Return whether the optimizer divides by a root with an eps that is 0 in float16; SGD does not divide."""
    eps = trained.consumer.argument("eps")
    values = facts.values.of(eps, trained.consumer.place) if eps is not None else frozenset()
    is_large = bool(values) and all(isinstance(value, float) and value >= MIN_EPS for value in values)
    return not is_large and not trained.consumer.name.startswith("SGD")


def _bfloat16_parameters(facts: Facts, model: HalfModel) -> Iterator[CodeFinding]:
    is_known = not model.trained.is_by_trainer or bool(model.asked.why)
    if is_known and not keeps_small_updates(model.trained.consumer):
        rate = large_rate(facts, [model.trained.consumer])
        yield build.at_node(
            model.cause.module,
            model.cause.node,
            "VC109",
            Severity.WARNING if rate is None else Severity.NOTE,
            "all parameters are bfloat16 and are trained without float32 copies: at a learning rate of 1e-5, "
            "85 % of the weights do not move",
            evidence=tuple(filter(None, (_consumer(model), model.asked.why, _of_option(model), kept_at(rate)))),
            remedy="Load them in float32 and let bf16=True or autocast compute in bfloat16, or train with DeepSpeed, "
            "which keeps float32 copies.",
            url=_PURE_URL,
            role="cast",
            also=_also(model),
        )


def keeps_small_updates(optimizer: Call) -> bool:
    """Return whether an optimizer is made for bfloat16 parameters: it rounds at random, or sums what is lost."""
    name = optimizer.place.module.dotted(optimizer.node.func)
    if _FOR_BFLOAT16.search(name):
        return True
    given = [keyword for keyword in optimizer.node.keywords if keyword.arg and _FOR_BFLOAT16.search(keyword.arg)]
    return any(not isinstance(each.value, ast.Constant) or bool(each.value.value) for each in given)


def kept_at(rate: float | None) -> str:
    """Return what bfloat16 keeps at the rate that ``large_rate`` found, as evidence; empty without such a rate."""
    return f"at {rate:g} here most updates are kept, and rounded to 8 bits" if rate is not None else ""


def large_rate(facts: Facts, optimizers: Sequence[Call]) -> float | None:
    """Return the only learning rate of some optimizers, if bfloat16 keeps updates of that size."""
    given = [(call, call.argument("lr", 1) or call.argument("learning_rate")) for call in optimizers]
    rates = {value for call, rate in given if rate is not None for value in facts.values.of(rate, call.place)}
    only = next(iter(rates)) if len(rates) == 1 and all(rate is not None for _, rate in given) else None
    return only if isinstance(only, float) and only >= MIN_KEPT_RATE else None


def _consumer(model: HalfModel) -> str:
    call = model.trained.consumer
    return f"trained by {call.name} at {build.place_of(call.place.module, call.node).location}"


def _also(model: HalfModel) -> tuple[CodePlace, ...]:
    """Return the place of the optimizer, where it is given the weights; that of a trainer says nothing of its own."""
    call = model.trained.consumer
    return () if model.trained.is_by_trainer else (build.place_of(call.place.module, call.node),)


def _of_option(model: HalfModel) -> str:
    return f"in runs with {model.cause.option}" if model.cause.option else ""
