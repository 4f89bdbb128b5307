"""Heads of a half-precision base that peft trains as a whole: as copies, in the dtype of the base."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.detectors.trained_dtype import BFLOAT16_EFFECT, HalfModel, half_models
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, last_name

_TASKS_WITH_HEADS = ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS")
"""Tasks for which peft adds the head to ``modules_to_save`` by itself.

https://huggingface.co/docs/peft/developer_guides/troubleshooting#randomly-initialized-layers
"""
_URL = "https://huggingface.co/docs/peft/package_reference/lora#peft.LoraConfig.modules_to_save"


def trained_heads(facts: Facts) -> Iterator[CodeFinding]:
    """Yield adapter configurations that train whole modules of a base whose weights are in a half precision."""
    reported: set[ast.expr] = set()
    for model in half_models(facts):
        adapter = model.trained.lineage.adapter
        if adapter is None or not model.has_adapter or _casts_trained(adapter):
            continue
        for config in _configs_of(facts, adapter):
            reason = _trains_modules(config)
            if reason and config.node not in reported:
                reported.add(config.node)
                yield _half_head(model, config, reason)


def _configs_of(facts: Facts, adapter: Call) -> Iterator[Call]:
    """Yield the calls that make the configuration of an adapter: ``LoraConfig(…)``."""
    argument = adapter.argument("peft_config", 1)
    if argument is not None:
        yield from (call for call in facts.objects.of(argument, adapter.place).calls() if call.name.endswith("Config"))


def _trains_modules(config: Call) -> str:
    """Return the argument with which a configuration trains whole modules; ``""``: it trains none."""
    modules, task = config.argument("modules_to_save"), config.argument("task_type")
    if isinstance(modules, ast.List | ast.Tuple) and modules.elts:
        return f"modules_to_save={ast.unparse(modules)}"
    name = task.value if isinstance(task, ast.Constant) else last_name(task) if task is not None else ""
    return f"task_type={name}" if name in _TASKS_WITH_HEADS else ""


def _casts_trained(adapter: Call) -> bool:
    """Return whether the function that adds adapters takes some parameters to float32: ``param.data.float()``."""
    calls = adapter.place.module.calls_in(adapter.place.function)
    texts = (ast.unparse(call.node) for call in calls if call.node.lineno > adapter.node.lineno)
    return any("float32" in text or text.endswith(".float()") for text in texts)


def _half_head(model: HalfModel, config: Call, reason: str) -> CodeFinding:
    if model.cause.dtype == FLOAT16:
        dtype, effect = "float16", "a scaler raises on them, and without one small updates are lost"
    else:
        dtype, effect = "bfloat16", BFLOAT16_EFFECT
    condition = "unless DeepSpeed or FSDP keeps float32 copies" if model.asked.has_engine else ""
    place = build.place_of(config.place.module, config.node)
    return build.at_node(
        model.cause.module,
        model.cause.node,
        "VC109",
        Severity.NOTE if condition else Severity.WARNING,
        f"peft trains whole modules of the {dtype} base as copies in {dtype}: {effect}",
        evidence=(
            f"{place.location} {reason}",
            "autocast_adapter_dtype of peft casts only adapters to float32, and no copies of modules",
            *filter(None, (condition,)),
        ),
        remedy="Cast what is trained to float32 after get_peft_model: "
        "for p in model.parameters(): if p.requires_grad: p.data = p.data.float().",
        url=_URL,
        role="cast",
        also=(place,),
    )
