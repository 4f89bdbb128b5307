"""Arguments of programs whose default turns gradient clipping off."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.detectors.clipping_keys import (
    CLIPPING_CALLS,
    CLIPPING_KEYS,
    CLIPPING_URL,
    has_half_region,
    is_off,
    is_positive,
)
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.arguments import Argument, arguments_of
from vc2doctor.linter.read.config import Launch
from vc2doctor.linter.read.module import Module, Place, root_name

_OPTIONS = ("args", "opt", "opts", "options", "hparams", "flags", "FLAGS")
"""Names that programs give to their parsed arguments."""
_EVALUATES = frozenset({"--evaluate", "--eval", "--eval_only", "--test_only", "--test"})
"""Flags of commands that do not train."""


def arguments_that_clip_nothing(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield arguments that limit gradients, are off by default, and get a limit from no command and no file."""
    for module in unit.modules:
        if "clip" not in module.source.text and "grad_norm" not in module.source.text:
            continue
        program = facts.code.import_closure(module)
        limits = {*CLIPPING_KEYS, *_given_limits(program)}
        arguments = [argument for argument in arguments_of(module) if argument.name.lower() in limits]
        for argument in arguments if not is_inference_path(module.name) else ():
            if (
                _is_off_by_default(facts, argument)
                and not _is_given(facts, unit, module, argument.name)
                and _is_read(program, argument.name)
                and has_half_region(facts, program)
            ):
                yield _finding(program, module, argument)


def _given_limits(program: frozenset[Module]) -> Iterator[str]:
    """Yield the arguments that a program gives to torch's clipping as the limit, whatever they are called."""
    for module in program:
        for call in module.calls if "clip_grad" in module.source.text else ():
            limit = call.argument("max_norm", 1) if call.name == "clip_grad_norm_" else None
            if isinstance(limit, ast.Attribute) and root_name(limit) in _OPTIONS:
                yield limit.attr


def _is_off_by_default(facts: Facts, argument: Argument) -> bool:
    values = facts.values.of(argument.default, Place(argument.function))
    return bool(values) and all(value is None or is_off(value) for value in values)


def _is_given(facts: Facts, unit: Unit, module: Module, name: str) -> bool:
    """Return whether every command that trains gives a limit, or a configuration has the key, which is judged itself.

    Where the program of no command is known, one command with a limit is enough.
    """
    runs = [run for run in facts.runs.of(unit) if run.launch is not None and not _EVALUATES & set(run.launch.flags)]
    own = [run.launch for run in runs if module in run.modules]
    limits = [launch is not None and _gives(launch, name) for launch in own]
    if (own and all(limits)) or (not own and any(_gives(launch, name) for launch in unit.launches)):
        return True
    return any(entry.last_key == name for config in unit.configs for entry in config.entries)


def _gives(launch: Launch, name: str) -> bool:
    flag = launch.flags.get(f"--{name}")
    return flag is not None and (is_positive(flag.value) or not flag.is_known)


def _is_read(program: frozenset[Module], name: str) -> bool:
    """Return whether the program reads an argument: without that it is no limit of anything."""
    return any(f".{name}" in module.source.text or f'["{name}"]' in module.source.text for module in program)


def _clippings(program: frozenset[Module], name: str) -> Iterator[CodePlace]:
    """Yield the calls of a program that clip by an argument."""
    for module in sorted(program, key=lambda each: each.name):
        for call in module.calls:
            if call.name in CLIPPING_CALLS and f".{name}" in ast.unparse(call.node):
                yield build.place_of(module, call.node)


def _finding(program: frozenset[Module], module: Module, argument: Argument) -> CodeFinding:
    return build.at_node(
        module,
        argument.node,
        "VC105",
        Severity.WARNING,
        f"{argument.name} turns clipping off by default, and not every command gives a limit: "
        "gradients are not clipped, in half precision",
        evidence=("the training code of this program computes in a half precision",),
        remedy="Make a positive limit the default, for example 1.0.",
        url=CLIPPING_URL,
        also=tuple(_clippings(program, argument.name)),
    )
