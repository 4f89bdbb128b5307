"""How a rule makes a finding: where it stands, and the edits that mend it."""

import ast
from typing import Any, Literal

from vc2doctor.findings import Severity
from vc2doctor.lint.config import Config, Entry
from vc2doctor.lint.model import CodeFinding, CodePlace, Edit
from vc2doctor.lint.module import Module

_LONGEST = 100
AMP = "https://docs.pytorch.org/docs/stable/amp.html"
AMP_EXAMPLES = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html"


def span(module: Module, node: ast.AST) -> tuple[str, int, int]:
    """Return the path, first and last line of a node as people look for them."""
    first: int = getattr(node, "lineno", 1)
    last: int = getattr(node, "end_lineno", None) or first
    path, line = module.source.told(first)
    return path, line, line + (last - first)


def place(module: Module, node: ast.AST) -> CodePlace:
    """Return where a node stands."""
    path, line, end = span(module, node)
    return CodePlace(path=path, line=line, end_line=end)


def at(module: Module, node: ast.AST, id_: str, severity: Severity, message: str, **more: Any) -> CodeFinding:  # noqa: ANN401 - the other fields of a finding
    """Return a finding about a node."""
    path, line, end = span(module, node)
    return _made((path, line, end), id_, severity, message, more)


def at_entry(config: Config, entry: Entry, id_: str, severity: Severity, message: str, **more: Any) -> CodeFinding:  # noqa: ANN401
    """Return a finding about a key of a configuration."""
    return _made((config.name, entry.line, entry.line), id_, severity, message, more)


def at_line(path: str, line: int, id_: str, severity: Severity, message: str, **more: Any) -> CodeFinding:  # noqa: ANN401
    """Return a finding about a line."""
    return _made((path, line, line), id_, severity, message, more)


def _made(where: tuple[str, int, int], id_: str, severity: Severity, message: str, more: dict[str, Any]) -> CodeFinding:
    path, line, end = where
    fields = {"evidence": (), "url": AMP, "remedy": "", **more}
    return CodeFinding(id=id_, severity=severity, message=message, path=path, line=line, end_line=end, **fields)


def code(node: ast.AST) -> str:
    """Return an expression for a sentence: on one line, and cut where it is long."""
    text = ast.unparse(node)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


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
    """Return the edit of comments from one line to another: ``text`` for ``old``, or beside the statement on the last."""
    return _of_lines(path, lines, "recomment", text, old)


def _of_lines(
    path: str,
    lines: tuple[int, int],
    kind: Literal["after", "line", "recomment"],
    text: str,
    name: str | None = None,
) -> Edit:
    return Edit(path=path, line=lines[0], column=0, end_line=lines[1], end_column=0, kind=kind, text=text, name=name)
