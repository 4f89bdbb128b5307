"""What a project trains: adapters, every weight, or adapters on a base in 4 bits; and at which learning rate."""

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Literal

from vc2doctor.linter.analyse.autocast import HALF_DTYPES
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT32, Value
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.frozen import switches_gradients_off
from vc2doctor.linter.analyse.lineage import Trained
from vc2doctor.linter.read.module import Call
from vc2doctor.linter.read.syntax import walk

Kind = Literal["adapters", "all", "4bit"]

_LANGUAGE_MODELS = re.compile(r"For(CausalLM|ConditionalGeneration|ImageTextToText|Vision2Seq|Seq2SeqLM)$")
"""Classes of transformers whose miniature the probe trains."""
_OF_EVERY_WEIGHT: Mapping[str, str] = {"fp32": "full-fp32", "bf16-amp": "full-bf16-amp", "bf16": "full-bf16"}
_OF_FOUR_BITS: Mapping[str, str] = {
    **dict.fromkeys(("bf16", "bf16-amp"), "qlora-bf16"),
    **dict.fromkeys(("fp16-scaled", "fp16-amp"), "qlora-fp16"),
}
"""By recipe of adapters on a plain base: the recipe of the same precision for what the code trains."""
_ARGUMENTS = re.compile(r"(TrainingArguments|SFTConfig|DPOConfig)$")
_FIRST_WITH_CHECKPOINT_DTYPE = 5
"""The major release of transformers from which ``from_pretrained`` without a dtype loads that of the checkpoint."""


def specialized(facts: Facts, recipe: str) -> str:
    """Return the recipe for what the project trains, in the precision of ``recipe``; unknown: ``recipe`` itself."""
    trained = [each for each in facts.lineages.trained if _is_language_model(each)]
    kinds = {_kind_of(facts, each) for each in trained}
    if kinds == {"4bit"}:
        return _OF_FOUR_BITS.get(recipe, recipe)
    if kinds == {"all"} and not _freezes_anything(trained):
        in_bfloat16 = any(_is_loaded_in_bfloat16(facts, each) for each in trained)
        return _OF_EVERY_WEIGHT.get("bf16" if in_bfloat16 and recipe == "bf16-amp" else recipe, recipe)
    return recipe


def learning_rate_of(facts: Facts) -> float | None:
    """Return the learning rate of the project: that of its commands, else of its arguments and optimizers.

    ``None``: it names none, or several.
    """
    for rates in (set(_rates_of_commands(facts)), set(_rates_of_calls(facts))):
        if rates:
            return rates.pop() if len(rates) == 1 else None
    return None


def _is_language_model(trained: Trained) -> bool:
    makers = trained.lineage.makers
    return bool(makers) and all(_LANGUAGE_MODELS.search(_class_of(maker)) for maker in makers)


def _class_of(maker: Call) -> str:
    """Return ``AutoModelForCausalLM`` for ``AutoModelForCausalLM.from_pretrained(…)``; empty: another call."""
    match maker.node.func:
        case ast.Attribute(attr="from_pretrained", value=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name
    return ""


def _kind_of(facts: Facts, trained: Trained) -> Kind | None:
    nodes = {maker.node for maker in trained.lineage.makers}
    quantizations = {load.quantized for load in facts.weights.loads if load.node in nodes}
    quantizations |= {facts.weights.quantization(maker) for maker in trained.lineage.makers}
    has_adapter = trained.lineage.adapter is not None or trained.consumer.argument("peft_config") is not None
    if quantizations - {None}:
        return "4bit" if "4bit" in quantizations and has_adapter else None
    if trained.lineage.is_prepared_for_kbit:
        return None
    return "adapters" if has_adapter else "all"


def _freezes_anything(trained: list[Trained]) -> bool:
    """Return whether the code around a trained model switches gradients off: then not every weight is trained."""
    modules = {module for each in trained for module in each.modules}
    return any(switches_gradients_off(node) for module in modules for node in walk(module.source.tree))


def _is_loaded_in_bfloat16(facts: Facts, trained: Trained) -> bool:
    nodes = {maker.node for maker in trained.lineage.makers}
    dtypes: set[Value] = {dtype for load in facts.weights.loads if load.node in nodes for dtype in load.dtypes}
    if dtypes:
        return BFLOAT16 in dtypes and not dtypes & {FLOAT32, *(HALF_DTYPES - {BFLOAT16})}
    # Nearly all published language models are stored in bfloat16.
    major = facts.code.files.installed.get("transformers", "0").partition(".")[0]
    return major.isdigit() and int(major) >= _FIRST_WITH_CHECKPOINT_DTYPE


def _rates_of_commands(facts: Facts) -> Iterator[float]:
    for unit in facts.code.units.values():
        for launch in unit.launches:
            for name in ("--learning_rate", "--lr"):
                flag = launch.flags.get(name)
                if flag is not None and flag.value is not None:
                    yield from _number(flag.value)


def _rates_of_calls(facts: Facts) -> Iterator[float]:
    consumers = {trained.consumer for trained in facts.lineages.trained if not trained.is_by_trainer}
    for module in facts.code.files.modules.values():
        for call in module.calls:
            name = "learning_rate" if _ARGUMENTS.search(call.name) else "lr" if call in consumers else None
            argument = call.argument(name) if name is not None else None
            values = facts.values.of(argument, call.place) if argument is not None else frozenset()
            for value in values:
                yield from _number(value)


def _number(value: Value) -> Iterator[float]:
    """Yield ``value`` as a learning rate, if it is one."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return
    try:
        number = float(value)
    except ValueError:
        return
    if 0 < number < 1:
        yield number
