"""Model classes of a project that cast themselves where their configuration says so: ``if config.bf16: ...``.

Qwen's first model code does it, and projects copied it: https://huggingface.co/Qwen/Qwen-7B/blob/main/modeling_qwen.py
"""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.trainer_calls import ARGUMENTS_CLASSES
from vc2doctor.linter.detectors.trained_dtype import BFLOAT16_EFFECT
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.module import Call, Class, Module, last_name

_CASTS = {"bfloat16": "bf16", "half": "fp16"}
"""The casting methods, each with the key of a configuration that asks for it."""
_TRAINER = re.compile(r"Trainer\w*$")
_URL = "https://huggingface.co/Qwen/Qwen-7B/blob/main/modeling_qwen.py"


class _SelfCast(NamedTuple):
    """A class that casts itself, and the file that makes it do so."""

    cls: Class
    cast: CodePlace
    key: str
    entry: CodePlace


def self_cast_models(facts: Facts) -> Iterator[CodeFinding]:
    """Yield the constructions of self-casting models in programs with a trainer and without an engine (VC109)."""
    for unit in facts.code.units.values():
        for found in _self_casts(unit):
            for module, call in _constructions(unit, found):
                dtype = "bfloat16" if found.key == "bf16" else "float16"
                effect = BFLOAT16_EFFECT if found.key == "bf16" else "a scaler refuses their gradients"
                yield build.at_node(
                    module,
                    call.node,
                    "VC109",
                    Severity.NOTE,
                    f"{found.cls.name} casts itself to {dtype}, and may be trained without float32 copies: {effect}",
                    evidence=(f"{found.entry.location} sets {found.key}", f"cast at {found.cast.location}"),
                    remedy=f"Set {found.key} to false in the model's configuration, and let the trainer compute in it.",
                    url=_URL,
                    role="cast",
                    also=(found.cast, found.entry),
                )


def scaled_self_casts(facts: Facts) -> Iterator[CodeFinding]:
    """Yield fp16 of trainers over a model that its own configuration makes bfloat16 (VC104)."""
    for unit in facts.code.units.values():
        for found in (each for each in _self_casts(unit) if each.key == "bf16"):
            for module in dict.fromkeys(module for module, _ in _constructions(unit, found)):
                for call in (each for each in module.calls if each.name.endswith(ARGUMENTS_CLASSES)):
                    fp16 = call.argument("fp16")
                    if fp16 is not None and facts.values.truth(fp16, call.place):
                        yield _scaled(module, fp16, found)


def _self_casts(unit: Unit) -> Iterator[_SelfCast]:
    for classes in unit.classes.values():
        for cls in classes:
            constructor = cls.methods.get("__init__")
            for call in cls.module.calls_in(constructor) if constructor is not None else ():
                key = _CASTS.get(call.name)
                tests = [ast.unparse(test) for test, wanted in call.place.conditions if wanted]
                entry = _entry(unit, key) if key and f"config.{key}" in tests else None
                if key is not None and entry is not None:
                    yield _SelfCast(cls, build.place_of(cls.module, call.node), key, entry)
                    break


def _entry(unit: Unit, key: str) -> CodePlace | None:
    """Return the line of a model's ``config.json`` that sets a key."""
    for config in unit.configs:
        is_of_model = config.name.endswith(".json") and config.find("hidden_size") is not None
        entry = next((each for each in config.entries if each.key == key and each.value is True), None)
        if is_of_model and entry is not None:
            return CodePlace(path=config.name, line=entry.line, end_line=entry.line)
    return None


def _constructions(unit: Unit, found: _SelfCast) -> Iterator[tuple[Module, Call]]:
    for module in unit.modules:
        trains = any(_TRAINER.search(call.name) and call.node.keywords for call in module.calls)
        if not trains or "deepspeed" in module.source.text or found.cls.name not in module.source.text:
            continue
        for call in module.calls:
            is_load = call.name == "from_pretrained" and last_name(call.receiver) == found.cls.name
            if (is_load or call.name == found.cls.name) and not _names_reference(call):
                yield module, call


def _names_reference(call: Call) -> bool:
    return any("ref" in last_name(target).split("_") for target in call.place.targets)


def _scaled(module: Module, fp16: ast.expr, found: _SelfCast) -> CodeFinding:
    return build.at_node(
        module,
        fp16,
        "VC104",
        Severity.WARNING,
        f"the trainer scales the loss for float16, and {found.cls.name} makes its weights bfloat16: on CUDA the scaler "
        "raises NotImplementedError for bfloat16 gradients",
        evidence=(f"{found.entry.location} sets {found.key}", f"cast at {found.cast.location}"),
        remedy="Write bf16=True, or set bf16 to false in the configuration of the model.",
        url="https://github.com/pytorch/pytorch/issues/127176",
        role="scaler",
        also=(*_declared(module, fp16), found.entry),
    )


def _declared(module: Module, fp16: ast.expr) -> Iterator[CodePlace]:
    """Yield the field of a dataclass that an argument reads: ``fp16: bool = True``."""
    for place in module.statements:
        match place.statement:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=True)) if name == last_name(fp16):
                yield build.place_of(module, place.statement)
