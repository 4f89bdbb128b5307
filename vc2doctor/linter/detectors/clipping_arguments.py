"""Arguments of programs whose default turns gradient clipping off."""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.detectors.clipping_keys import (
    CLIPPING_KEYS,
    CLIPPING_URL,
    has_half_region,
    is_off,
    is_positive,
)
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.arguments import Argument, arguments_of
from vc2doctor.linter.read.module import Module, Place


def arguments_that_clip_nothing(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield arguments that limit gradients, are off by default, and get a limit from no command and no file."""
    for module in unit.modules:
        if "clip" not in module.source.text and "grad_norm" not in module.source.text:
            continue
        arguments = [argument for argument in arguments_of(module) if argument.name.lower() in CLIPPING_KEYS]
        for argument in arguments if not is_inference_path(module.name) else ():
            program = facts.code.import_closure(module)
            if (
                _is_off_by_default(facts, argument)
                and not _is_given(unit, argument.name)
                and _is_read(program, argument.name)
                and has_half_region(facts, program)
            ):
                yield _finding(module, argument)


def _is_off_by_default(facts: Facts, argument: Argument) -> bool:
    values = facts.values.of(argument.default, Place(argument.function))
    return bool(values) and all(value is None or is_off(value) for value in values)


def _is_given(unit: Unit, name: str) -> bool:
    """Return whether a command gives a limit, or a configuration has the key: that place is judged by itself."""
    flags = (launch.flags.get(f"--{name}") for launch in unit.launches)
    if any(flag is not None and (is_positive(flag.value) or not flag.is_known) for flag in flags):
        return True
    return any(entry.last_key == name for config in unit.configs for entry in config.entries)


def _is_read(program: frozenset[Module], name: str) -> bool:
    """Return whether the program reads an argument: without that it is no limit of anything."""
    return any(f".{name}" in module.source.text or f'["{name}"]' in module.source.text for module in program)


def _finding(module: Module, argument: Argument) -> CodeFinding:
    return build.at_node(
        module,
        argument.node,
        "VC105",
        Severity.WARNING,
        f"{argument.name} turns clipping off by default, and no command gives a limit: "
        "gradients are not clipped, in half precision",
        evidence=("the training code of this program computes in a half precision",),
        remedy="Make a positive limit the default, for example 1.0.",
        url=CLIPPING_URL,
    )
