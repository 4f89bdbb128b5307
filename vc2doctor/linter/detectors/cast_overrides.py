"""Overrides of the command line that are cast by ``bool(text)``, which is true for every text."""

import ast
import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.api_names import whole_code
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Function, last_name

_READS_TEXTS = re.compile(r"literal_eval|str2bool|str_?to_?bool|json\.loads|\byaml\.|\.lower\(\)")
"""Texts of functions that convert the texts of booleans themselves."""
_SPLITS, _CASTS = re.compile(rb"\.split\(\s*[\"']=[\"']"), re.compile(rb"\btype\(|\.type\b|\bbool\(")
"""Texts of modules that split ``key=value``, and that cast by a type."""
_SWITCHES = re.compile(r"\b(fp16|bf16|use_amp|amp|mixed_precision|use_fp16|use_bf16|gradient_checkpointing)\b")


def cast_overrides(facts: Facts) -> Iterator[CodeFinding]:
    """Yield casts of ``key=value`` texts by the type of a setting, in programs whose settings switch the precision.

    The module that parses need not mention precision, so all code is read if some text splits and casts.
    """
    files = facts.code.files
    texts = (module.source.text.encode("utf-8", "replace") for module in files.modules.values())
    if not any(_SPLITS.search(text) and _CASTS.search(text) for text in (*texts, *files.texts.values())):
        return
    code = whole_code(facts)
    for module in code.files.modules.values():
        if not _SPLITS.search(module.source.text.encode("utf-8", "replace")) or is_inference_path(module.name):
            continue
        for function in module.functions:
            cast = _cast_of_text(function) if _splits_overrides(function) else None
            importing = (each for each in code.files.modules.values() if module in code.import_closure(each))
            if cast is not None and any(_SWITCHES.search(each.source.text) for each in importing):
                yield build.at_node(
                    module,
                    cast,
                    "VC106",
                    Severity.NOTE,
                    f"{build.code(cast)} makes every text true for a switch: bf16=False on the command line switches "
                    "it on",
                    evidence=('bool("False") is True, and the text comes from splitting an argument at "="',),
                    remedy='Compare the text: value.lower() in ("true", "1", "yes").',
                    url="https://docs.python.org/3/library/functions.html#bool",
                    role="config",
                )


def _splits_overrides(function: Function) -> bool:
    """Return whether a function splits arguments at "=", and reads the texts of booleans nowhere."""
    if not function.name:
        return False
    text = ast.unparse(function.node)
    return ".split('='" in text and not _READS_TEXTS.search(text)


def _cast_of_text(function: Function) -> ast.Call | None:
    """Return the first call that casts by ``bool``, by ``type(old)``, or by the type of a field."""
    text = ast.unparse(function.node)
    for node in ast.walk(function.node):
        if not isinstance(node, ast.Call) or len(node.args) != 1 or node.keywords or _is_constant(node.args[0]):
            continue
        if isinstance(node.func, ast.Call) and last_name(node.func.func) == "type" and "bool" not in text:
            return node
        if isinstance(node.func, ast.Name) and (node.func.id == "bool" or _is_type_of_field(function, node.func.id)):
            return node
    return None


def _is_constant(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Constant)


def _is_type_of_field(function: Function, name: str) -> bool:
    """Return whether a name is the type of a field, and ``bool`` is among the types by which the code casts."""
    values = [value for value, _ in function.names.get(name, [])]
    is_type = bool(values) and all(isinstance(value, ast.Attribute) and value.attr == "type" for value in values)
    casts_bool = any(
        isinstance(node, ast.Compare)
        and isinstance(node.left, ast.Name)
        and node.left.id == name
        and isinstance(node.ops[0], ast.In)
        and "bool" in ast.unparse(node.comparators[0])
        for node in ast.walk(function.node)
    )
    return is_type and casts_bool
