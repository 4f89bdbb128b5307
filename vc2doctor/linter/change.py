"""Builds edits for the rules: of code by its syntax tree, and of configurations and scripts by line."""

import ast

from vc2doctor.linter.model import Edit, EditKind
from vc2doctor.linter.read.module import Module


def source(module: Module, node: ast.expr) -> str:
    """Return an expression as it is written in its file."""
    return module.source.segment(node)


def replace_expression(module: Module, node: ast.expr, text: str) -> Edit:
    """Return the edit that replaces an expression by ``text``."""
    return _at_node(module, node, "replace-expression", text)


def set_keyword(module: Module, call: ast.Call, name: str, text: str) -> Edit:
    """Return the edit that gives a call the keyword ``name=text``, or changes the keyword if it is there."""
    return _at_node(module, call, "set-keyword", text, name)


def rename_keyword(module: Module, call: ast.Call, old: str, new: str) -> Edit:
    """Return the edit that renames a keyword of a call and keeps its value."""
    return _at_node(module, call, "rename-keyword", new, old)


def prepend_argument(module: Module, call: ast.Call, text: str) -> Edit:
    """Return the edit that gives a call a new first argument."""
    return _at_node(module, call, "prepend-argument", text)


def remove_import(module: Module, statement: ast.stmt, name: str) -> Edit:
    """Return the edit that removes a local name from an import statement."""
    return _at_node(module, statement, "remove-import", "", name)


def _at_node(module: Module, node: ast.expr | ast.stmt, kind: EditKind, text: str, name: str | None = None) -> Edit:
    return edit_node(module.name, node, kind, text, name)


def edit_node(path: str, node: ast.expr | ast.stmt, kind: EditKind, text: str, name: str | None = None) -> Edit:
    """Return an edit of a node in the file ``path``; see ``EditKind`` for what ``text`` and ``name`` mean."""
    # Trees that ast.parse made have end positions; only the types allow None.
    return Edit(
        path=path,
        line=node.lineno,
        column=node.col_offset,
        end_line=node.end_lineno or node.lineno,
        end_column=node.end_col_offset or node.col_offset,
        kind=kind,
        text=text,
        name=name,
    )


def insert_line(path: str, line: int, text: str) -> Edit:
    """Return the edit that inserts ``text`` as a new line after ``line`` of a configuration."""
    return _at_lines(path, (line, line), "insert-line", text)


def replace_in_line(path: str, line: int, old: str, new: str) -> Edit:
    """Return the edit that replaces ``old`` by ``new`` in a line of a configuration or script."""
    return _at_lines(path, (line, line), "replace-in-line", new, old)


def replace_span(path: str, start: tuple[int, int], end: tuple[int, int], text: str) -> Edit:
    """Return the edit that replaces the text between two positions of a configuration or script.

    Positions are a line, from 1, and a column in characters, from 0.
    """
    return Edit(
        path=path, line=start[0], column=start[1], end_line=end[0], end_column=end[1], kind="replace-span", text=text
    )


def replace_in_comments(path: str, lines: tuple[int, int], old: str, new: str) -> Edit:
    """Return the edit that replaces ``old`` by ``new`` in the comments between two lines; there may be none."""
    return _at_lines(path, lines, "replace-in-comments", new, old)


def add_comment(path: str, line: int, text: str) -> Edit:
    """Return the edit that puts a comment behind the statement that ends on ``line``, if it has no comment."""
    return _at_lines(path, (line, line), "add-comment", text)


def _at_lines(path: str, lines: tuple[int, int], kind: EditKind, text: str, old: str | None = None) -> Edit:
    return Edit(path=path, line=lines[0], column=0, end_line=lines[1], end_column=0, kind=kind, text=text, old=old)
