"""Autocast contexts that a ``with`` statement never opens, because ``and`` gives only its last operand."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import WithStatement
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage, disables_gradients
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Place

_URL = "https://docs.python.org/3/reference/expressions.html#boolean-operations"


class Unopened(NamedTuple):
    """A context that is evaluated and dropped."""

    place: Place
    call: ast.Call
    opened: ast.expr
    """What the statement opens instead."""


def unopened_contexts(facts: Facts) -> Iterator[Unopened]:
    """Yield the autocasts that stand before an ``and`` in a ``with`` statement: ``with autocast() and no_grad():``."""
    for module in facts.code.files.modules.values():
        for place in module.statements if "autocast" in module.source.text else ():
            statement = place.statement
            for item in statement.items if isinstance(statement, WithStatement) else ():
                match item.context_expr:
                    case ast.BoolOp(op=ast.And(), values=[*dropped, opened]):
                        calls = (each for each in dropped if isinstance(each, ast.Call))
                        yield from (Unopened(place, each, opened) for each in calls if each in facts.autocast.autocasts)


def unopened_regions(facts: Facts) -> Iterator[CodeFinding]:
    """Yield a finding for each autocast that is never opened (VC103)."""
    for context in unopened_contexts(facts):
        infers = facts.stages.of(context.place) is Stage.INFERS or disables_gradients(context.opened)
        yield build.at_node(
            context.place.module,
            context.call,
            "VC103",
            Severity.NOTE if infers else Severity.WARNING,
            f"this autocast is never opened: with `and`, Python opens only {build.code(context.opened)}",
            evidence=("a context object is true, so Python evaluates the next operand and opens that one alone",),
            remedy="Separate the contexts with a comma: "
            f"with {build.code(context.call)}, {build.code(context.opened)}:",
            url=_URL,
            role="region",
        )
