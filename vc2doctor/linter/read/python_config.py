"""Reads Python modules that only assign settings."""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from vc2doctor.linter.read.arguments import DEFAULT_TREES
from vc2doctor.linter.read.config import UNKNOWN, Config, ConfigEntry
from vc2doctor.linter.read.module import Module, last_name, root_name

_ALLOWED_STATEMENTS = (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.Expr, ast.If)
_BASES = "read_base"
"""mmengine's context in which a configuration imports those that it is based on."""
_MAPPING_CALLS = ("dict", "EasyDict", "edict", "L", "ConfigDict")
_LAZY_CALLS = ("L", "LazyCall")
"""A call of what these return describes a call: ``L(Model)(depth=2)``."""
_HARMLESS_CALLS = (*_MAPPING_CALLS, *_LAZY_CALLS, _BASES, "join", "path", "get")


def read_python(module: Module) -> Config | None:
    """Return the settings of a module that only assigns settings; ``None``: the module is code."""
    body = module.source.tree.body
    if not all(isinstance(statement, _ALLOWED_STATEMENTS) or _imports_bases(statement) for statement in body):
        return None
    if module.source.cells:
        return None
    constants: dict[str, Any] = {}
    entries: list[ConfigEntry] = []
    for statement in body:
        if (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            name, value = statement.targets[0].id, statement.value
            entries.extend(_entries(name, value, statement.lineno, constants))
            constants[name] = literal(value)
        elif isinstance(statement, ast.Assign) and (key := _key_of_tree(statement.targets[0])) is not None:
            entries.extend(_entries(key, statement.value, statement.lineno, constants))
    # A script at module level has more calls than assignments; a configuration has fewer.
    calls = [
        call
        for call in module.calls
        if last_name(call.node.func) not in _HARMLESS_CALLS and not isinstance(call.node.func, ast.Call)
    ]
    return Config(module.name, "python", tuple(entries)) if entries and len(calls) <= len(entries) else None


def _key_of_tree(target: ast.expr) -> str | None:
    """Return the key that an assignment to a tree of settings sets: ``SOLVER.LR`` of ``cfg.SOLVER.LR = 1e-3``."""
    is_key = isinstance(target, ast.Attribute) and root_name(target) in DEFAULT_TREES
    return ast.unparse(target).partition(".")[2] if is_key else None


def _imports_bases(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.With) and all(
        isinstance(item.context_expr, ast.Call) and last_name(item.context_expr.func) == _BASES
        for item in statement.items
    )


def _entries(key: str, value: ast.expr, line: int, constants: Mapping[str, Any]) -> Iterator[ConfigEntry]:
    """Yield the settings below a key; ``constants`` are the values of the names that were assigned before."""
    if isinstance(value, ast.Call) and _is_mapping(value):
        for keyword in value.keywords:
            if keyword.arg is not None:
                yield from _entries(f"{key}.{keyword.arg}", keyword.value, keyword.value.lineno, constants)
    elif isinstance(value, ast.Dict):
        for name, inner in zip(value.keys, value.values, strict=True):
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield from _entries(f"{key}.{name.value}", inner, inner.lineno, constants)
    elif isinstance(value, ast.Name) and value.id in constants:
        yield ConfigEntry(key, constants[value.id], line)
    elif key.endswith(".type") and isinstance(value, ast.Name | ast.Attribute):
        # mmengine names the class or function that it calls: `type=AmpOptimWrapper`.
        yield ConfigEntry(key, ast.unparse(value), line)
    else:
        yield ConfigEntry(key, literal(value), line)


def _is_mapping(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Call):
        return last_name(call.func.func) in _LAZY_CALLS
    return last_name(call.func) in _MAPPING_CALLS


def literal(value: ast.expr) -> Any:  # noqa: ANN401 - as the file has it
    """Return the value of a literal, ``"torch.float16"`` for a dtype of torch, and ``UNKNOWN`` for anything else."""
    if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id == "torch":
        return f"torch.{value.attr}"
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return UNKNOWN
