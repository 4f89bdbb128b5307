"""How a rule builds a finding: where it stands, and what it says."""

import ast
from typing import Any

from vc2doctor.findings import Severity
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.config import Config, ConfigEntry
from vc2doctor.linter.read.module import Module

_LONGEST = 100
AMP = "https://docs.pytorch.org/docs/stable/amp.html"
AMP_EXAMPLES = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html"


def span(module: Module, node: ast.AST) -> tuple[str, int, int]:
    """Return the path, first and last line of a node as people look for them."""
    first: int = getattr(node, "lineno", 1)
    last: int = getattr(node, "end_lineno", None) or first
    path, line = module.source.location_of(first)
    return path, line, line + (last - first)


def place(module: Module, node: ast.AST) -> CodePlace:
    """Return where a node stands."""
    path, line, end = span(module, node)
    return CodePlace(path=path, line=line, end_line=end)


def at(module: Module, node: ast.AST, id_: str, severity: Severity, message: str, **more: Any) -> CodeFinding:  # noqa: ANN401 - the other fields of a finding
    """Return a finding about a node."""
    path, line, end = span(module, node)
    return _made((path, line, end), id_, severity, message, more)


def at_entry(
    config: Config,
    entry: ConfigEntry,
    id_: str,
    severity: Severity,
    message: str,
    **more: Any,  # noqa: ANN401 - the other fields of a finding
) -> CodeFinding:
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
