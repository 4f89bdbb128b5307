"""The operations of torch: what they take, and the dtype that they give."""

import ast
import re

from vc2doctor.linter.analyse.callees import Callees
from vc2doctor.linter.analyse.tensor_kinds import Kind, Mode, as_tensor, widest
from vc2doctor.linter.knowledge import autocast_ops as ops
from vc2doctor.linter.read.module import Call

_LIKE_INPUT = re.compile(r"_like$|^new_(zeros|ones|full|empty)$")
"""Functions that make a tensor with the dtype of another one."""
_MAKES_FLOAT32 = frozenset({"zeros", "ones", "rand", "randn", "linspace", "eye"})
"""Functions that make a tensor in the default dtype."""
_TAKES_SEVERAL = ops.HALF_OPS | ops.WIDENING_OPS


def is_of_torch(call: Call, callees: Callees) -> bool:
    """Return whether a call can be a function of torch or a method of a tensor: ``torch.exp``, ``x.exp``."""
    function = call.node.func
    if isinstance(function, ast.Attribute):
        is_own = isinstance(function.value, ast.Name) and function.value.id == "self"
        return not is_own and callees.of(call) is None
    return call.place.module.dotted(function).startswith("torch.")


def inputs_of(call: Call) -> list[ast.expr]:
    """Return the tensors that an operation takes: its receiver, or its arguments."""
    function = call.node.func
    is_function = call.place.module.dotted(function).startswith(("torch.", "F.", "nn."))
    given = [argument for argument in call.node.args if not isinstance(argument, ast.Starred)]
    arguments = [argument for argument in given if not isinstance(argument, ast.Constant)]
    if isinstance(function, ast.Attribute) and not is_function:
        return [function.value, *arguments[: 1 if call.name in _TAKES_SEVERAL else 0]]
    if call.name == "where":
        # The first argument is the condition.
        return given[1:]
    return arguments if call.name in _TAKES_SEVERAL else arguments[:1]


def of_operation(call: Call, mode: Mode, inputs: list[Kind]) -> Kind | None:
    """Return the dtype that an operation of torch gives; ``None``: the call is none whose dtype is known."""
    name = call.name
    if mode is Mode.AUTOCAST and name in ops.HALF_OPS | ops.FLOAT32_OPS:
        return Kind.HALF if name in ops.HALF_OPS else Kind.FLOAT32
    if name in ops.FLOAT32_OPS | ops.HALF_OPS | ops.WIDENING_OPS or name == "where":
        return widest(inputs)
    if name in ops.FOLLOWING_OPS or _LIKE_INPUT.search(name):
        return as_tensor(inputs[0]) if inputs else Kind.UNKNOWN
    if name in _MAKES_FLOAT32 and call.place.module.dotted(call.node.func) == f"torch.{name}":
        return Kind.FLOAT32
    return None
