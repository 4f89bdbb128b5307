"""Scalers that do not follow the option which chooses bfloat16: made whatever it says, or on for bfloat16 only."""

import ast
import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Module

_SCALERS = ("NativeScaler", "NativeScalerWithGradNormCount", "GradScaler", "NativeScalerWithGradUpdate")
_BFLOAT16 = re.compile(r"\bb(f|float)16\b|\b(use|is|enable)_b(f|float)16\b", re.IGNORECASE)
_FLOAT16 = re.compile(r"(?<!b)(fp16|f16|float16|half)", re.IGNORECASE)
_PRECISION = re.compile(r"16|dtype|half|precision|bfloat", re.IGNORECASE)
_URL = "https://docs.pytorch.org/docs/stable/amp.html#gradient-scaling"


def scalers_beside_choices(facts: Facts) -> Iterator[CodeFinding]:
    """Yield scalers that are enabled for bfloat16 alone, and those that bfloat16 does not switch off (VC104)."""
    for module in facts.code.files.modules.values():
        if "Scaler" not in module.source.text or is_inference_path(module.name):
            continue
        for call in (each for each in module.calls if each.name in _SCALERS):
            enabled = call.argument("enabled")
            if call.name == "GradScaler" and enabled is not None and _is_inverted(enabled):
                yield _inverted(call, enabled)
            choice = _choice(module) if enabled is None and _is_made_always(module, call) else None
            if choice is not None:
                yield _made_always(call, choice)


def _is_inverted(enabled: ast.expr) -> bool:
    """Return whether an expression is true where the run computes in bfloat16, and false for float16."""
    nodes = list(ast.walk(enabled))
    names = [ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute | ast.Name | ast.Constant)]
    is_negated = any(isinstance(node, ast.Not | ast.NotEq | ast.IsNot | ast.NotIn | ast.IfExp) for node in nodes)
    return any(map(_BFLOAT16.search, names)) and not is_negated and not any(map(_FLOAT16.search, names))


def _is_made_always(module: Module, call: Call) -> bool:
    """Return whether nothing around a scaler asks for the dtype, and its program does not ask before it scales."""
    asks = any(_PRECISION.search(ast.unparse(test)) for test, _ in call.place.conditions)
    drops = re.search(r"scaler\s*=.*\bif\b.*(16|dtype)|scaler\._enabled\s*=\s*False", module.source.text)
    uses = any(each.name == "scale" or each.name.endswith("scaler") for each in module.calls)
    return uses and not asks and drops is None


def _choice(module: Module) -> ast.expr | None:
    """Return the expression by which a module chooses bfloat16 or float16 for its autocast; ``None``: there is none."""
    has_region = any("autocast" in call.name and call.argument("dtype") is not None for call in module.calls)
    for function in module.functions if has_region else ():
        for values in function.names.values():
            for value, at in values:
                if isinstance(value, ast.IfExp) and _gives_both(value.body, value.orelse):
                    return value
                others = [other for other, _ in values if other is not value]
                is_chosen = bool(at.conditions) and any(_gives_both(value, other) for other in others)
                if is_chosen and "bfloat16" in ast.unparse(value):
                    return value
    return _assigned_choice(module) if has_region else None


def _assigned_choice(module: Module) -> ast.expr | None:
    """Return the choice that an attribute gets: ``args.dtype = torch.bfloat16 if args.bfloat else torch.float16``."""
    for place in module.statements:
        statement = place.statement
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute):
            value = statement.value
            if isinstance(value, ast.IfExp) and _gives_both(value.body, value.orelse):
                return value
            is_bfloat16 = ast.unparse(value) == "torch.bfloat16"
            if is_bfloat16 and place.conditions and "dtype" in ast.unparse(statement.targets[0]):
                return value
    return None


def _gives_both(one: ast.expr, other: ast.expr) -> bool:
    return {ast.unparse(one), ast.unparse(other)} == {"torch.bfloat16", "torch.float16"}


def _inverted(call: Call, enabled: ast.expr) -> CodeFinding:
    return build.at_node(
        call.place.module,
        call.node,
        "VC104",
        Severity.WARNING,
        f"the scaler is enabled by {build.code(enabled)}: bfloat16 needs none, and float16 is left without one",
        remedy="Enable it for float16 only.",
        url=_URL,
        role="scaler",
    )


def _made_always(call: Call, choice: ast.expr) -> CodeFinding:
    module = call.place.module
    place = build.place_of(module, choice)
    return build.at_node(
        module,
        call.node,
        "VC104",
        Severity.NOTE,
        f"{call.name} is made whatever the dtype is: where an option chooses bfloat16, the loss is scaled for nothing",
        evidence=(f"the dtype is chosen at {place.location} {build.code(choice)}",),
        remedy="Make the scaler where the dtype is float16 only.",
        url=_URL,
        role="scaler",
        also=(place,),
    )
