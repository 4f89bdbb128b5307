"""The calls of a name that an import of the same module brings: they go wrong with it, and have to change with it."""

import ast
from collections.abc import Iterator

from vc2doctor.linter.analyse.api_names import is_rebound
from vc2doctor.linter.analyse.api_use import Use
from vc2doctor.linter.read.module import Call


def later_uses(use: Use) -> Iterator[Use]:
    """Yield the calls of what an import brings, and of its methods, as further uses; none for other uses."""
    module, name = use.module, use.label.rpartition(".")[2]
    if use.kind != "name" or module is None or not isinstance(use.node, ast.ImportFrom) or is_rebound(module, name):
        return
    local = {alias.asname or alias.name for alias in use.node.names if alias.name == name}
    for call in module.calls:
        if _root(call) in local and module.dotted(call.node.func).startswith(use.label):
            yield use._replace(node=call.node.func, line=call.node.lineno)


def _root(call: Call) -> str:
    node = call.node.func
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
