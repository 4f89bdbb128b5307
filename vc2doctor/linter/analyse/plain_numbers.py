"""Recognizes expressions that are numbers of Python: a size, a root of a size, a constant."""

import ast

from vc2doctor.linter.read.module import last_name

_SIZES = frozenset({"shape", "ndim"})
"""Attributes of tensors that hold sizes."""
_COUNTS = frozenset({"size", "dim", "numel", "item", "nelement", "element_size"})
"""Methods of tensors that return numbers."""
_BUILTINS = frozenset({"int", "float", "len", "round"})
_MATH = ("math.", "np.", "numpy.")


def is_number(expression: ast.expr) -> bool:
    """Return whether an expression is a number whatever the names in it are: ``math.sqrt(d)``, ``x.shape[-1] ** -0.5``.

    A power of a name to a constant fraction is one, too: no code takes the inverse root of a tensor by ``d ** -0.5``
    to scale with it.
    """
    match expression:
        case ast.Constant(value=value):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ast.UnaryOp(operand=operand):
            return is_number(operand)
        case ast.BinOp():
            return _combines_numbers(expression)
        case ast.Call():
            return _returns_number(expression)
    return _is_size(expression)


def _combines_numbers(expression: ast.BinOp) -> bool:
    is_root = isinstance(expression.op, ast.Pow) and isinstance(expression.right, ast.UnaryOp)
    if is_root and isinstance(expression.left, ast.Name | ast.Attribute):
        return is_number(expression.right)
    return is_number(expression.left) and is_number(expression.right)


def _is_size(expression: ast.expr) -> bool:
    if isinstance(expression, ast.Subscript) and isinstance(expression.value, ast.Attribute):
        return expression.value.attr in _SIZES
    return isinstance(expression, ast.Attribute) and expression.attr == "ndim"


def _returns_number(call: ast.Call) -> bool:
    function = call.func
    if isinstance(function, ast.Name):
        return function.id in _BUILTINS
    return ast.unparse(function).startswith(_MATH) or last_name(function) in _COUNTS
