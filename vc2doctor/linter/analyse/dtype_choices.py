"""Dtypes that an option of the command line chooses: what the code can compute in, whatever the default is."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from vc2doctor.linter.analyse.dtypes import Dtype, as_dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.read.module import Assigned, Call, Function, Place

MAX_HOPS = 6
"""Names, branches and functions that are followed from an expression to its dtypes."""
_COMPARISONS = (ast.Eq, ast.In)
"""Comparisons that pick out texts of an option."""


@dataclass(frozen=True, slots=True)
class DtypeChoice:
    """The dtypes among which an option chooses."""

    option: str
    """The name of the option, without dashes: ``precision``."""
    texts: dict[str, Dtype]
    """The texts of the option that the code names, each with the dtype that it gives."""
    otherwise: Dtype | None
    """The dtype of every other text; ``None``: it is not known, or there is none."""
    test: ast.expr
    """The expression that reads the option."""

    def allowed(self, choices: tuple[str, ...]) -> frozenset[Dtype]:
        """Return the dtypes that the option can give if it takes these texts only; no texts: it takes every text."""
        if not choices:
            return self.dtypes
        found = (self.texts.get(text, self.otherwise) for text in choices)
        return frozenset(dtype for dtype in found if dtype is not None)

    @property
    def dtypes(self) -> frozenset[Dtype]:
        """All dtypes that the option can give."""
        rest = () if self.otherwise is None else (self.otherwise,)
        return frozenset((*self.texts.values(), *rest))


def choice_of(facts: Facts, expression: ast.expr, place: Place) -> DtypeChoice | None:
    """Return the dtypes among which one option of the program chooses; ``None``: none does, or it is not known.

    Followed are ``torch.bfloat16 if args.dtype == "bfloat16" else torch.float16``, a dictionary of dtypes, branches of
    ``if`` that assign or return them, and names and functions of the project in between.
    """
    branches = list(_branches(facts, expression, place, {}, 0))
    options = {branch.option for branch in branches if branch.option}
    if len(options) != 1:
        return None
    texts: dict[str, Dtype] = {}
    for branch in branches:
        texts |= dict.fromkeys(branch.texts, branch.dtype)
    rest = {branch.dtype for branch in branches if not branch.texts}
    test = next(branch.test for branch in branches if branch.test is not None)
    return DtypeChoice(options.pop(), texts, rest.pop() if len(rest) == 1 else None, test)


@dataclass(frozen=True, slots=True)
class _Branch:
    """One dtype, and the texts of an option that lead to it; no texts: every other one."""

    dtype: Dtype
    option: str = ""
    texts: tuple[str, ...] = ()
    test: ast.expr | None = None


Given = dict[str, tuple[ast.expr, Place]]
"""The arguments of the call through which a function was entered, by parameter."""


def _branches(  # noqa: C901 - one case per kind of expression
    facts: Facts, expression: ast.expr, place: Place, given: Given, hops: int
) -> Iterator[_Branch]:
    """Yield the dtypes that an expression can have, with what each depends on."""
    if hops > MAX_HOPS:
        return
    match expression:
        case ast.IfExp(test=test, body=body, orelse=orelse):
            for branch, wanted in ((body, True), (orelse, False)):
                for found in _branches(facts, branch, place, given, hops + 1):
                    yield _under(facts, found, ((test, wanted),), place, given)
        case ast.Subscript(value=table, slice=key):
            yield from _of_table(facts, table, key, place, given)
        case ast.Name() if expression.id not in place.module.imports:
            scope = next((each for each in place.function.scopes() if expression.id in each.names), None)
            yield from _of_assigned(facts, scope.names[expression.id] if scope else [], given, hops)
        case ast.Attribute(value=ast.Name(id="self"), attr=name) if place.function.cls is not None:
            owners = (each for each in facts.code.mro(place.function.cls) if name in each.attributes)
            owner = next(owners, None)
            yield from _of_assigned(facts, owner.attributes[name] if owner else [], {}, hops)
        case ast.Call(func=ast.Name(id="getattr"), args=[ast.Name(id=torch), key, *_]):
            is_torch = place.module.imports.get(torch) == "torch"
            yield from _of_torch(facts, key, place, given) if is_torch else ()
        case ast.Call():
            callee = facts.code.callee(Call(expression, place))
            if callee is not None and callee.name != "__init__":
                yield from _of_assigned(facts, callee.returned, _arguments(expression, place, callee), hops)
        case _:
            yield from (_Branch(value) for value in facts.values.dtypes(expression, place) if isinstance(value, Dtype))


def _arguments(call: ast.Call, place: Place, callee: Function) -> Given:
    """Return what a call gives to the parameters of a function."""
    names = {name: Call(call, place).argument(name, callee.position(name)) for name in callee.parameters()}
    return {name: (value, place) for name, value in names.items() if value is not None}


def _of_assigned(facts: Facts, assigned: list[Assigned], given: Given, hops: int) -> Iterator[_Branch]:
    for value, place in assigned:
        for found in _branches(facts, value, place, given, hops + 1):
            yield _under(facts, found, place.conditions, place, given)


def _of_table(facts: Facts, table: ast.expr, key: ast.expr, place: Place, given: Given) -> Iterator[_Branch]:
    """Yield the dtypes of ``{"fp16": torch.float16, "bf16": torch.bfloat16}[args.precision]``."""
    option = _option(facts, key, place, given)
    if isinstance(table, ast.Name):
        scope = next((each for each in place.function.scopes() if table.id in each.names), None)
        values = scope.names[table.id] if scope else []
        table = values[0][0] if len(values) == 1 else table
    if not option or not isinstance(table, ast.Dict):
        return
    for name, value in zip(table.keys, table.values, strict=True):
        for dtype in facts.values.dtypes(value, place):
            if isinstance(name, ast.Constant) and isinstance(name.value, str) and isinstance(dtype, Dtype):
                yield _Branch(dtype, option, (name.value,), key)


def _of_torch(facts: Facts, name: ast.expr, place: Place, given: Given) -> Iterator[_Branch]:
    """Yield the dtypes of ``getattr(torch, args.dtype)``: those of the choices that the option has."""
    option = _option(facts, name, place, given)
    for argument in facts.code.unit_of(place.module).arguments.get(option, ()) if option else ():
        for text in argument.choices:
            dtype = as_dtype(text)
            if isinstance(dtype, Dtype):
                yield _Branch(dtype, option, (text,), name)


def _under(
    facts: Facts, branch: _Branch, conditions: tuple[tuple[ast.expr, bool], ...], place: Place, given: Given
) -> _Branch:
    """Return a branch with the condition on an option that leads to it; the innermost condition decides."""
    if branch.option:
        return branch
    for condition, wanted in reversed(conditions):
        option, texts = compared_texts(facts, condition, place, given)
        if option:
            return _Branch(branch.dtype, option, texts if wanted else (), condition)
    return branch


def compared_texts(
    facts: Facts, condition: ast.expr, place: Place, given: Given | None = None
) -> tuple[str, tuple[str, ...]]:
    """Return the option that a condition compares, and the texts; empty: it compares none, or something else too."""
    found: list[tuple[str, tuple[str, ...]]] = []
    parts = condition.values if isinstance(condition, ast.BoolOp) and isinstance(condition.op, ast.Or) else [condition]
    for part in parts:
        match part:
            case ast.Compare(left=ast.Constant(value=str(text)), ops=[ast.In()], comparators=[right]):
                option = _option(facts, right, place, given or {})
                if option:
                    found.append((option, _containing(facts, option, text, place)))
            case ast.Compare(left=left, ops=[operator], comparators=[right]) if isinstance(operator, _COMPARISONS):
                members = right.elts if isinstance(right, ast.Tuple | ast.List | ast.Set) else [right]
                texts = tuple(each.value for each in members if isinstance(each, ast.Constant))
                option = _option(facts, left, place, given or {})
                if option and len(texts) == len(members) and all(isinstance(text, str) for text in texts):
                    found.append((option, tuple(str(text) for text in texts)))
    options = {option for option, _ in found}
    if len(found) != len(parts) or len(options) != 1:
        return "", ()
    return options.pop(), tuple(text for _, texts in found for text in texts)


def _containing(facts: Facts, option: str, text: str, place: Place) -> tuple[str, ...]:
    """Return the choices of an option that contain a text; the text itself if the option has no choices."""
    declared = facts.code.unit_of(place.module).arguments.get(option, [])
    choices = dict.fromkeys(choice for argument in declared for choice in argument.choices if text in choice)
    return tuple(choices) or (text,)


def _option(facts: Facts, expression: ast.expr, place: Place, given: Given) -> str:
    """Return the option of argparse that an expression reads (``args.precision``), also through a parameter."""
    if isinstance(expression, ast.Name) and expression.id in given:
        expression, place = given[expression.id]
    if not isinstance(expression, ast.Attribute):
        return ""
    declared = facts.code.unit_of(place.module).arguments.get(expression.attr, [])
    return expression.attr if any(argument.is_of_argparse for argument in declared) else ""
