"""Patterns of arithmetic in expressions: which operation a call is, and what it is applied to."""

import ast
from collections.abc import Iterator

from vc2doctor.linter.analyse.exclusive import are_exclusive
from vc2doctor.linter.read.module import Place, last_name
from vc2doctor.linter.read.syntax import walk

_FUNCTION_ROOTS = ("torch", "F", "nn", "functional", "np", "math")
"""Names before the dot of a function; before a method there is a tensor."""
_SHAPES = frozenset(
    {
        *("transpose", "permute", "view", "reshape", "unsqueeze", "squeeze", "contiguous", "t", "expand", "flatten"),
        *("detach", "clone", "repeat", "mT", "T", "type_as", "to"),
    }
)
"""Methods and attributes that leave the values of a tensor as they are."""
MAX_HOPS = 2
"""Names that are replaced by what they were assigned."""


def operand(call: ast.Call) -> ast.expr | None:
    """Return what an operation is applied to: ``x`` of ``torch.exp(x)``, ``self.layer(x)`` and ``x.exp()``."""
    function = call.func
    if isinstance(function, ast.Attribute):
        root = function.value
        names = {node.id for node in ast.walk(root) if isinstance(node, ast.Name)}
        is_function = isinstance(root, ast.Name | ast.Attribute) and bool(names & set(_FUNCTION_ROOTS))
        is_layer = isinstance(root, ast.Name) and root.id == "self"
        if not is_function and not is_layer:
            return root
    return call.args[0] if call.args else None


def is_call_of(node: ast.AST | None, *names: str) -> bool:
    """Return whether a node is a call with one of the names."""
    return isinstance(node, ast.Call) and last_name(node.func) in names


def square_of(node: ast.AST | None) -> ast.expr | None:
    """Return ``x`` of ``x ** 2``, ``x.pow(2)``, ``torch.square(x)`` and ``x * x``; ``None`` for other expressions."""
    match node:
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=2)):
            return left
        case ast.BinOp(left=left, op=ast.Mult(), right=right) if ast.dump(left) == ast.dump(right):
            return left
        case ast.Call() if last_name(node.func) == "square":
            return operand(node)
        case ast.Call(args=[*_, ast.Constant(value=2 | 2.0)]) if last_name(node.func) == "pow":
            return operand(node)
    return None


def factors(node: ast.expr, place: Place, hops: int = 0) -> Iterator[ast.expr]:
    """Yield the factors of a product, through changes of shape and the names that were assigned once."""
    match node:
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            yield from factors(left, place, hops)
            yield from factors(right, place, hops)
        case ast.BinOp(left=left, op=ast.Div()):
            yield from factors(left, place, hops)
        case ast.UnaryOp(operand=inner) | ast.Subscript(value=inner):
            yield from factors(inner, place, hops)
        case ast.Attribute(value=inner, attr=attr) if attr in _SHAPES:
            yield from factors(inner, place, hops)
        case ast.Call(func=ast.Attribute(value=inner, attr=attr)) if attr in _SHAPES:
            yield from factors(inner, place, hops)
        case ast.Name(id=name) if hops < MAX_HOPS:
            assigned = place.function.names.get(name, [])
            if len(assigned) == 1:
                yield from factors(*assigned[0], hops + 1)
            else:
                yield node
        case _:
            yield node


def expressions_of(place: Place) -> Iterator[ast.AST]:
    """Yield the expressions of a simple statement; the statements in a block have places of their own."""
    statement = place.statement
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return | ast.Expr):
        yield from walk(statement)


def value_at(expression: ast.expr, place: Place, hops: int = 0) -> tuple[ast.expr, Place]:
    """Return what a local name was assigned, with the place, if one assignment alone can reach a place.

    Assignments in another branch than the place cannot reach it. Any other expression is returned as it is.
    """
    assigned = place.function.names.get(expression.id, []) if isinstance(expression, ast.Name) else []
    reaching = [(value, at) for value, at in assigned if not are_exclusive(at, place) and _precedes(at, place)]
    if len(reaching) != 1 or hops >= MAX_HOPS:
        return expression, place
    return value_at(*reaching[0], hops + 1)


def _precedes(place: Place, other: Place) -> bool:
    lines = [each.statement.lineno for each in (place, other) if each.statement is not None]
    return len(lines) < len((place, other)) or lines[0] < lines[1]


def constant_element(expression: ast.Subscript) -> ast.expr | None:
    """Return the element that a constant picks from a list in place: ``["no", "fp16", "bf16"][2]``."""
    match expression:
        case ast.Subscript(value=ast.List(elts=elements) | ast.Tuple(elts=elements), slice=ast.Constant(value=int(at))):
            return elements[at] if at < len(elements) else None
    return None
