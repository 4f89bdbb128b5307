"""What code asks of its trainer: calls of ``TrainingArguments``, ``Accelerator`` and Lightning's ``Trainer``."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace

from vc2doctor.linter.analyse.dtypes import Dtype
from vc2doctor.linter.analyse.values import Values
from vc2doctor.linter.read.config import UNKNOWN, Unknown
from vc2doctor.linter.read.launchers.lightning import settings_of_trainer
from vc2doctor.linter.read.launchers.transformers_arguments import settings_of_keys
from vc2doctor.linter.read.module import Call, Module, last_name
from vc2doctor.linter.read.run_settings import Keys, RunSettings, only

ARGUMENTS_CLASSES = ("TrainingArguments", "SFTConfig", "DPOConfig", "GRPOConfig", "Arguments")
"""Endings of the names of classes that take ``fp16`` and ``bf16`` for transformers' trainer."""
_LIMIT_OF_LIGHTNING = frozenset({"gradient_clip_val"})
_LIGHTNING = ("pytorch_lightning", "lightning", "pl.", "L.")
_TRAINER_CLASSES = (*ARGUMENTS_CLASSES, "HfArgumentParser", "Trainer")
"""Endings of the names of classes that only programs with transformers' trainer use."""


def uses_trainer(modules: frozenset[Module]) -> bool:
    """Return whether modules import or call transformers' trainer, or one of trl's that is built on it."""
    return any(_is_of_transformers(name) for module in modules for name in _names(module))


def _names(module: Module) -> Iterator[str]:
    yield from module.imports.values()
    yield from (module.dotted(call.node.func) for call in module.calls if call.name.endswith(_TRAINER_CLASSES))


def _is_of_transformers(dotted: str) -> bool:
    return dotted.partition(".")[0] in ("transformers", "trl") and dotted.endswith(_TRAINER_CLASSES)


def is_of_lightning(call: Call) -> bool:
    """Return whether a call makes Lightning's ``Trainer`` or ``Fabric``, also through ``from_argparse_args``."""
    maker = call.receiver if call.name == "from_argparse_args" else call.node.func
    return last_name(maker) in ("Trainer", "Fabric") and call.place.module.dotted(maker).startswith(_LIGHTNING)


def takes_flags_of_lightning(modules: frozenset[Module]) -> bool:
    """Return whether a program makes the arguments of Lightning's ``Trainer`` into flags of its command.

    https://lightning.ai/docs/pytorch/1.9.5/common/hyperparameters.html
    """
    return any(call.name in ("from_argparse_args", "add_argparse_args") for each in modules for call in each.calls)


def limits_in_lightning(modules: frozenset[Module]) -> frozenset[str]:
    """Return the name of Lightning's limit if the code of a program says something of it."""
    says_limit = any(name in module.source.text for module in modules for name in _LIMIT_OF_LIGHTNING)
    return _LIMIT_OF_LIGHTNING if says_limit else frozenset()


def settings_of_call(values: Values, call: Call) -> RunSettings | None:
    """Return what a call asks of its trainer; ``None``: it makes none."""
    if is_of_lightning(call):
        settings = settings_of_trainer(_keys(values, call))
        # A dictionary that cannot be read can hold the limit.
        unknown = settings.unknown | (_LIMIT_OF_LIGHTNING if call.is_open else frozenset())
        return replace(settings, is_call=True, unknown=unknown)
    if call.name.endswith(ARGUMENTS_CLASSES) and (call.argument("output_dir", 0) or call.argument("fp16")):
        return replace(settings_of_keys(_keys(values, call), "transformers"), is_call=True)
    if call.name == "Accelerator":
        keys = _keys(values, call)
        return RunSettings(
            "accelerate",
            keys.path,
            precisions=only(keys.precision("mixed_precision")),
            unknown=keys.unknown("mixed_precision"),
            is_call=True,
        )
    return None


def _keys(values: Values, call: Call) -> Keys:
    module = call.place.module
    path = module.source.location_of(call.node.lineno)[0]
    return Keys(path, dict(_values(values, call, call.keywords())), is_command=False)


def _values(values: Values, call: Call, arguments: Mapping[str, ast.expr]) -> Iterator[tuple[str, tuple[object, int]]]:
    for name, expression in arguments.items():
        found = values.of(expression, call.place)
        value: object = next(iter(found)) if len(found) == 1 else UNKNOWN
        if isinstance(value, Dtype):
            value = value.name
        line = call.place.module.source.location_of(expression.lineno)[1]
        # `None` as an argument is the default.
        if value is not None or isinstance(value, Unknown):
            yield name, (value, line)
