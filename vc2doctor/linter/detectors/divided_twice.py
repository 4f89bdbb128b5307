"""Losses that the loop divides by the steps of accumulation, and that the engine divides once more."""

import ast
import re
from collections.abc import Iterable, Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.exclusive import are_exclusive
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Module, Place, last_name, root_name

_ACCUMULATION = {"accum", "accumulate", "accumulation", "accumulations", "gas", "freq"}
"""Words of names that hold the number of micro-batches of one step: ``accum_iter``, ``update_freq``."""
_ACCELERATE_URL = "https://huggingface.co/docs/accelerate/usage_guides/gradient_accumulation"
_DEEPSPEED_URL = "https://deepspeed.readthedocs.io/en/latest/training.html#deepspeed.DeepSpeedEngine.backward"


def divided_twice(facts: Facts, unit: Unit, loop: Loop) -> Iterator[CodeFinding]:
    """Yield divisions of a loss in front of the backward pass of an engine that divides by the same number."""
    for backward in loop.backwards:
        if not backward.node.args or backward.place.function is not loop.function:
            continue
        for division, place, steps in _divisions(backward):
            name = last_name(steps)
            is_accumulation = bool(words(name) & _ACCUMULATION)
            engine = _engine_with(facts, unit, loop, backward, steps) if is_accumulation else None
            if engine is not None and not are_exclusive(place, backward.place):
                yield _finding(facts, unit, division, place, steps, engine)
                return


def _divisions(backward: Call) -> Iterator[tuple[ast.AST, Place, ast.expr]]:
    """Yield the divisions of what a backward pass gets, each with its place and what it divides by."""
    loss = backward.node.args[0]
    if isinstance(loss, ast.BinOp) and isinstance(loss.op, ast.Div):
        yield backward.node, backward.place, loss.right
    if not isinstance(loss, ast.Name):
        return
    for place in backward.place.module.statements:
        if place.function is not backward.place.function or place.statement is None:
            continue
        if place.statement.lineno >= backward.node.lineno:
            continue
        match place.statement:
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Div(), value=steps) if name == loss.id:
                yield place.statement, place, steps
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.BinOp(op=ast.Div(), right=steps)) if name == loss.id:
                yield place.statement, place, steps


def _engine_with(facts: Facts, unit: Unit, loop: Loop, backward: Call, divisor: ast.expr) -> tuple[str, str] | None:
    """Return the engine of a backward pass, and where it gets the same number of steps; ``None``: it is not known.

    Only the modules of the loop's programs count: another program of the project has an engine of its own.
    """
    name = last_name(divisor)
    together = facts.code.together_with(loop.function.module)
    is_of_accelerator = isinstance(divisor, ast.Attribute) and "accelerator" in words(last_name(divisor.value))
    if root_name(backward.receiver) == "self" and backward.name == "manual_backward":
        return None
    if "accelerator" in words(last_name(backward.receiver)):
        for call in unit.calls.get("Accelerator", []):
            steps = call.argument("gradient_accumulation_steps", 3)
            is_same = (
                steps is not None and call.place.module in together and (is_of_accelerator or last_name(steps) == name)
            )
            if is_same and not _is_one(steps):
                return "accelerate", build.place_of(call.place.module, call.node).location
        return None
    engine = ast.unparse(backward.receiver)
    steps_engine = any(
        call.name == "step" and not call.node.args and ast.unparse(call.receiver) == engine
        for call in loop.function.module.calls_in(loop.function)
    )
    modules = [module for module in unit.modules if module in together]
    place = _deepspeed_steps(modules, name) if steps_engine else None
    return ("DeepSpeed", place) if place is not None else None


def _is_one(steps: ast.expr | None) -> bool:
    return isinstance(steps, ast.Constant) and steps.value == 1


def _deepspeed_steps(modules: Iterable[Module], name: str) -> str | None:
    """Return where some code gives DeepSpeed a number of steps: in its settings, or in a check of them."""
    mentions = re.compile(
        rf"""gradient_accumulation_steps\(\)\s*==\s*[\w.]*\b{name}\b"""
        rf"""|["'](?:gradient_accumulation_steps|train_batch_size)["']\s*\]?\s*[:=][^,\n]*\b{name}\b"""
    )
    for module in modules:
        match = mentions.search(module.source.text) if "deepspeed" in module.source.text.lower() else None
        if match is not None:
            line = module.source.text.count("\n", 0, match.start()) + 1
            return "{}:{}".format(*module.source.location_of(line))
    return None


def _finding(  # noqa: PLR0913, PLR0917 - the parts of a finding
    facts: Facts, unit: Unit, division: ast.AST, place: Place, steps: ast.expr, engine: tuple[str, str]
) -> CodeFinding:
    name, given = engine
    is_accelerate = name == "accelerate"
    by = build.code(steps)
    return build.at_node(
        place.module,
        division,
        "VC104",
        Severity.NOTE if _is_one_by_default(facts, unit, steps) else Severity.WARNING,
        f"the loss is divided by {by}, and {name} divides it by the same number again: gradients are {by} times too "
        "small, which costs range in half precision and keeps clipping from acting",
        evidence=(
            f"{name} gets the steps at {given}",
            "Accelerator.backward divides by gradient_accumulation_steps"
            if is_accelerate
            else "DeepSpeedEngine.backward divides by gradient_accumulation_steps (scale_wrt_gas=True)",
        ),
        remedy="Leave the division to the engine: give it the loss as it is.",
        url=_ACCELERATE_URL if is_accelerate else _DEEPSPEED_URL,
        role="other",
    )


def _is_one_by_default(facts: Facts, unit: Unit, steps: ast.expr) -> bool:
    """Return whether the number is 1 unless a command says otherwise, and none does."""
    declared = unit.arguments.get(last_name(steps), [])
    values = {value for argument in declared for value in facts.values.of(argument.default, Place(argument.function))}
    given = [launch.flags.get(f"--{last_name(steps)}") for launch in unit.launches]
    return values == {1} and not any(flag is not None and flag.value != "1" for flag in given)
