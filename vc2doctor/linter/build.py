"""Builds the findings of the rules: at a node of code, a key of a configuration, or a line."""

import ast
from collections.abc import Iterable
from typing import Any

from vc2doctor.findings import Severity
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.config import Config, ConfigEntry
from vc2doctor.linter.read.module import Module

MAX_CODE_LENGTH = 100
"""Characters of code in a message. Longer expressions are cut, so that a message stays on one or two lines."""
AMP_URL = "https://docs.pytorch.org/docs/stable/amp.html"
AMP_EXAMPLES_URL = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html"


def span(module: Module, node: ast.AST) -> tuple[str, int, int]:
    """Return the path, first line and last line of a node; in a notebook those of its cell."""
    first: int = getattr(node, "lineno", 1)
    last: int = getattr(node, "end_lineno", None) or first
    path, line = module.source.location_of(first)
    return path, line, line + (last - first)


def place_of(module: Module, node: ast.AST) -> CodePlace:
    """Return the lines of a node."""
    path, line, end = span(module, node)
    return CodePlace(path=path, line=line, end_line=end)


def place_of_use(module: Module | None, node: ast.AST | None, file: str, line: int) -> CodePlace:
    """Return the lines of a node; without a node, the line of a file that is not Python."""
    return place_of(module, node) if module and node else CodePlace(path=file, line=line, end_line=line)


def at_node(module: Module, node: ast.AST, id_: str, severity: Severity, message: str, **fields: Any) -> CodeFinding:  # noqa: ANN401 - the other fields of a finding
    """Return a finding about a node; ``fields`` are the other fields of the finding."""
    return _finding(span(module, node), id_, severity, message, fields)


def at_entry(
    config: Config,
    entry: ConfigEntry,
    id_: str,
    severity: Severity,
    message: str,
    **fields: Any,  # noqa: ANN401 - the other fields of a finding
) -> CodeFinding:
    """Return a finding about a key of a configuration."""
    return _finding((config.name, entry.line, entry.line), id_, severity, message, fields)


def at_line(path: str, line: int, id_: str, severity: Severity, message: str, **fields: Any) -> CodeFinding:  # noqa: ANN401 - the other fields of a finding
    """Return a finding about a line."""
    return _finding((path, line, line), id_, severity, message, fields)


def _finding(
    lines: tuple[str, int, int], id_: str, severity: Severity, message: str, fields: dict[str, Any]
) -> CodeFinding:
    path, line, end = lines
    defaults = {"evidence": (), "url": AMP_URL, "remedy": ""}
    return CodeFinding(
        id=id_, severity=severity, message=message, path=path, line=line, end_line=end, **{**defaults, **fields}
    )


def entry_places(entries: Iterable[tuple[Config, ConfigEntry]]) -> tuple[CodePlace, ...]:
    """Return the lines of keys in configurations: copies of one template have the same fault in each."""
    return tuple(CodePlace(path=config.name, line=entry.line, end_line=entry.line) for config, entry in entries)


def code(node: ast.AST) -> str:
    """Return an expression for use in a message: on one line, and cut after ``MAX_CODE_LENGTH`` characters."""
    text = ast.unparse(node)
    return text if len(text) <= MAX_CODE_LENGTH else f"{text[: MAX_CODE_LENGTH - 1]}…"
