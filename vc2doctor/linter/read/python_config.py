"""Settings of a Python module that holds nothing but settings."""

import ast
from collections.abc import Iterator
from typing import Any

from vc2doctor.linter.read.config import UNKNOWN, Config, ConfigEntry
from vc2doctor.linter.read.module import Module, last_name


def of_python(module: Module) -> Config | None:
    """Return the settings of a module that holds nothing but settings; ``None``: it is code."""
    body = module.source.tree.body
    allowed = (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.Expr, ast.If)
    if any(not isinstance(statement, allowed) for statement in body) or module.source.cells:
        return None
    assigned = [statement for statement in body if isinstance(statement, ast.Assign)]
    entries: list[ConfigEntry] = []
    for statement in assigned:
        if len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
            entries.extend(_python_entries(statement.targets[0].id, statement.value, statement.lineno))
    calls = [call for call in module.calls if last_name(call.node.func) not in ("dict", "join", "path", "get")]
    return Config(module.name, "python", tuple(entries)) if entries and len(calls) <= len(entries) else None


def _python_entries(key: str, value: ast.expr, line: int) -> Iterator[ConfigEntry]:
    if isinstance(value, ast.Call) and last_name(value.func) in ("dict", "EasyDict", "edict", "L"):
        for keyword in value.keywords:
            if keyword.arg is not None:
                yield from _python_entries(f"{key}.{keyword.arg}", keyword.value, keyword.value.lineno)
    elif isinstance(value, ast.Dict):
        for name, inner in zip(value.keys, value.values, strict=True):
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield from _python_entries(f"{key}.{name.value}", inner, inner.lineno)
    else:
        yield ConfigEntry(key, literal(value), line)


def literal(value: ast.expr) -> Any:  # noqa: ANN401 - as the file has it
    """Return the value of a literal expression, a dtype of torch by its name, and ``UNKNOWN`` for any other."""
    if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id == "torch":
        return f"torch.{value.attr}"
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return UNKNOWN
