"""How a rule says what to change: edits of code by its syntax tree, and of configurations and scripts by line."""

import ast
from typing import Literal

from vc2doctor.linter.model import Edit
from vc2doctor.linter.read.module import Module


def source(module: Module, node: ast.expr) -> str:
    """Return an expression as it is written."""
    return module.source.segment(node)


def replace(module: Module, node: ast.expr, text: str) -> Edit:
    """Return the edit that puts ``text`` in place of an expression."""
    return _edit(module, node, "replace", text)


def keyword(module: Module, call: ast.Call, name: str, text: str) -> Edit:
    """Return the edit that gives a call the keyword ``name=text``, in place of what it had."""
    return _edit(module, call, "keyword", text, name)


def _edit(module: Module, node: ast.expr | ast.stmt, kind: str, text: str, name: str | None = None) -> Edit:
    return Edit.model_validate(
        {
            "path": module.name,
            "line": node.lineno,
            "column": node.col_offset,
            "end_line": node.end_lineno,
            "end_column": node.end_col_offset,
            "kind": kind,
            "text": text,
            "name": name,
        }
    )


def first(module: Module, call: ast.Call, text: str) -> Edit:
    """Return the edit that gives a call one more argument, before all others."""
    return _edit(module, call, "first", text)


def unimport(module: Module, statement: ast.stmt, name: str) -> Edit:
    """Return the edit that takes a local name out of an import statement."""
    return _edit(module, statement, "unimport", "", name)


def after(path: str, line: int, text: str) -> Edit:
    """Return the edit that puts a line of a configuration after ``line``."""
    return _of_lines(path, (line, line), "after", text)


def within(path: str, line: int, old: str, new: str) -> Edit:
    """Return the edit that writes ``new`` for ``old`` in a line of a configuration or script."""
    return _of_lines(path, (line, line), "line", new, old)


def comment(path: str, lines: tuple[int, int], text: str, old: str | None = None) -> Edit:
    """Return the edit of comments on ``lines``: ``text`` in place of ``old``, or beside the statement on the last."""
    return _of_lines(path, lines, "recomment", text, old)


def _of_lines(
    path: str,
    lines: tuple[int, int],
    kind: Literal["after", "line", "recomment"],
    text: str,
    name: str | None = None,
) -> Edit:
    return Edit(path=path, line=lines[0], column=0, end_line=lines[1], end_column=0, kind=kind, text=text, name=name)
