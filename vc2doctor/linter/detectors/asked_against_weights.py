"""One half precision in the arguments of a trainer, and the other in the weights that it trains or in its launcher."""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.api_names import external_name
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.analyse.trainer_calls import ARGUMENTS_CLASSES
from vc2doctor.linter.analyse.weights import Load
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Module

_URL = "https://huggingface.co/docs/accelerate/usage_guides/mixed_precision"
_FLAGS = {"fp16": FLOAT16, "bf16": BFLOAT16}
_OTHER = {"fp16": "bf16", "bf16": "fp16"}
_ENDINGS = ("Config", "Arguments", "Args")
"""Endings of classes of arguments."""


def asked_against_weights(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield the calls that ask for one half precision beside trained weights that are loaded in the other.

    For a class of the project's own it is a note: what it does with the flag is not known. float16 asked for beside
    bfloat16 weights is only noted here, because the rules about the scaler report it.
    """
    calls = [call for name, calls in unit.calls.items() if name.endswith(_ENDINGS) for call in calls]
    loads = [load for load in facts.weights.trained_loads(unit) if not load.is_inert and not load.is_of_copy]
    for call in calls:
        asked = _asked(facts, call)
        beside = [load for load in loads if load.place.module is call.place.module]
        if asked is None or not beside or is_inference_path(call.place.module.name):
            continue
        if all(_is_of_other(load, asked) for load in beside):
            yield _finding(facts, call, asked, beside[0])


def _asked(facts: Facts, call: Call) -> str | None:
    """Return the half precision that a call asks for; ``None``: none, both, or a run decides."""
    values = {name: call.argument(name) for name in _FLAGS}
    on = [name for name, value in values.items() if value is not None and facts.values.truth(value, call.place)]
    return on[0] if len(on) == 1 else None


def _is_of_other(load: Load, asked: str) -> bool:
    return load.quantized is None and load.dtypes == {_FLAGS[_OTHER[asked]]}


def _finding(facts: Facts, call: Call, asked: str, load: Load) -> CodeFinding:
    dtype = "float16" if asked == "bf16" else "bfloat16"
    module = call.place.module
    is_of_trainer = (external_name(facts.code, module, module.dotted(call.node.func)) or "").endswith(ARGUMENTS_CLASSES)
    argument = call.argument(asked) or call.node
    return build.at_node(
        module,
        argument,
        "VC106",
        Severity.WARNING if is_of_trainer and asked == "bf16" else Severity.NOTE,
        f"{call.name} asks for {asked}, and the weights beside it are loaded in {dtype}: a run may mix the two",
        evidence=(build.place_of(load.place.module, load.node).location,),
        remedy=f"Load the weights in float32, or ask for {_OTHER[asked]}.",
        url=_URL,
        role="config",
    )


def launcher_beside_calls(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield accelerate's files that say one half precision while programs beside them say the other: notes.

    Which of the programs a file starts is not known where no command names both.
    """
    for config in unit.configs:
        settings, entry = facts.runs.settings_of(config), config.find("mixed_precision")
        if settings is None or settings.launcher != "accelerate" or entry is None or entry.value not in _FLAGS:
            continue
        other = _OTHER[entry.value]
        calls = [
            (module, call)
            for module, call in _trainer_calls(unit)
            if _is_beside(config.name, module.name) and _asked(facts, call) == other
        ]
        if calls:
            yield build.at_entry(
                config,
                entry,
                "VC106",
                Severity.NOTE,
                f"this file says {entry.value}, and {calls[0][0].name} asks its trainer for {other}: if it starts that"
                " program, the trainer's flag wins",
                evidence=tuple(build.place_of(module, call.node).location for module, call in calls),
                remedy=f"Write mixed_precision: {other}, or start other programs only.",
                url=_URL,
                role="config",
            )


def _is_beside(config: str, program: str) -> bool:
    """Return whether a file is in the folder of a program or in one below it."""
    return f"{config.rpartition('/')[0]}/".startswith(f"{program.rpartition('/')[0]}/".lstrip("/"))


def _trainer_calls(unit: Unit) -> Iterator[tuple[Module, Call]]:
    for name, calls in unit.calls.items():
        if name.endswith(ARGUMENTS_CLASSES):
            yield from ((call.place.module, call) for call in calls if not is_inference_path(call.place.module.name))
