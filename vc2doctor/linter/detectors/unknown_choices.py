"""Choices of an option that the parser accepts in two spellings, of which a function knows only one."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.arguments import Argument
from vc2doctor.linter.read.module import Call, Function
from vc2doctor.linter.read.syntax import walk

_URL = "https://docs.python.org/3/library/argparse.html#choices"


def unknown_choices(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield functions that compare an option with one spelling of a precision, and not with the other one."""
    for name, arguments in unit.arguments.items():
        for argument in arguments:
            pairs = [(one, other) for one in argument.choices for other in argument.choices if _are_one(one, other)]
            if not pairs or is_inference_path(argument.function.module.name):
                continue
            for function, parameter in _functions_with(facts, unit, argument, name):
                yield from _unknown_in(function, parameter, name, pairs)


def _are_one(text: str, other: str) -> bool:
    """Return whether two texts are spellings of one precision: ``amp_bf16`` and ``amp_bfloat16``."""
    return text != other and _short(text) == _short(other)


def _short(text: str) -> str:
    return text.lower().replace("bfloat16", "bf16").replace("float16", "fp16").replace("half", "fp16")


def _functions_with(facts: Facts, unit: Unit, argument: Argument, name: str) -> Iterator[tuple[Function, str]]:
    """Yield the functions of a parser's programs that get an option as a parameter, with the parameter."""
    together = facts.code.together_with(argument.function.module)
    seen: set[tuple[Function, str]] = set()
    for module in unit.modules:
        for call in module.calls if module in together and f".{name}" in module.source.text else ():
            callee = facts.code.callee(call) if _gives(call, name) else None
            for parameter in callee.parameters() if callee is not None and callee.name != "__init__" else ():
                given = call.argument(parameter, callee.position(parameter)) if callee is not None else None
                is_option = isinstance(given, ast.Attribute) and given.attr == name
                if callee is not None and is_option and (callee, parameter) not in seen:
                    seen.add((callee, parameter))
                    yield callee, parameter


def _gives(call: Call, name: str) -> bool:
    values = (*call.node.args, *(keyword.value for keyword in call.node.keywords))
    return any(isinstance(value, ast.Attribute) and value.attr == name for value in values)


def _unknown_in(function: Function, parameter: str, option: str, pairs: list[tuple[str, str]]) -> Iterator[CodeFinding]:
    compared = [node for node in walk(function.node) if isinstance(node, ast.Compare) and _reads(node, parameter)]
    texts = {each.value for node in compared for each in ast.walk(node) if isinstance(each, ast.Constant)}
    if any(isinstance(node.left, ast.Constant) for node in compared):
        # `"bf16" in precision` knows every text that contains it.
        return
    missing = {other: one for one, other in pairs if one in texts and other not in texts}
    for other, one in missing.items():
        yield build.at_node(
            function.module,
            compared[0],
            "VC106",
            Severity.WARNING,
            f"--{option} {other} is accepted, and {function.name} knows only {one}: {other} is an unknown text for it",
            evidence=(f"both are choices of --{option}",),
            remedy=f"Compare with {other}, too, or take it out of the choices.",
            url=_URL,
            role="config",
        )


def _reads(node: ast.Compare, parameter: str) -> bool:
    return any(isinstance(each, ast.Name) and each.id == parameter for each in (node.left, *node.comparators))
