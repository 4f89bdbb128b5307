"""Reads Python modules that only assign settings."""

import ast
from collections.abc import Iterator
from typing import Any

from vc2doctor.linter.read.config import UNKNOWN, Config, ConfigEntry
from vc2doctor.linter.read.module import Module, last_name

_ALLOWED_STATEMENTS = (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.Expr, ast.If)
_MAPPING_CALLS = ("dict", "EasyDict", "edict", "L")
_HARMLESS_CALLS = ("dict", "join", "path", "get")


def read_python(module: Module) -> Config | None:
    """Return the settings of a module that only assigns settings; ``None``: the module is code."""
    body = module.source.tree.body
    if any(not isinstance(statement, _ALLOWED_STATEMENTS) for statement in body) or module.source.cells:
        return None
    entries: list[ConfigEntry] = []
    for statement in body:
        if (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            entries.extend(_entries(statement.targets[0].id, statement.value, statement.lineno))
    # A script at module level has more calls than assignments; a configuration has fewer.
    calls = [call for call in module.calls if last_name(call.node.func) not in _HARMLESS_CALLS]
    return Config(module.name, "python", tuple(entries)) if entries and len(calls) <= len(entries) else None


def _entries(key: str, value: ast.expr, line: int) -> Iterator[ConfigEntry]:
    if isinstance(value, ast.Call) and last_name(value.func) in _MAPPING_CALLS:
        for keyword in value.keywords:
            if keyword.arg is not None:
                yield from _entries(f"{key}.{keyword.arg}", keyword.value, keyword.value.lineno)
    elif isinstance(value, ast.Dict):
        for name, inner in zip(value.keys, value.values, strict=True):
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield from _entries(f"{key}.{name.value}", inner, inner.lineno)
    else:
        yield ConfigEntry(key, literal(value), line)


def literal(value: ast.expr) -> Any:  # noqa: ANN401 - as the file has it
    """Return the value of a literal, ``"torch.float16"`` for a dtype of torch, and ``UNKNOWN`` for anything else."""
    if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id == "torch":
        return f"torch.{value.attr}"
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return UNKNOWN
