"""Finds autocast regions without a dtype, and gradient scalers that are on."""

import ast

from vc2doctor.linter import change
from vc2doctor.linter.fix.tokens.branches import is_compared, why_it_stays
from vc2doctor.linter.fix.tokens.token import CodeFile, Context, Token, is_off, keyword
from vc2doctor.linter.read.module import last_name

AUTOCASTS = {
    *("torch.cuda.amp.autocast", "torch.cuda.amp.autocast_mode.autocast", "torch.autocast"),
    *("torch.amp.autocast", "torch.amp.autocast_mode.autocast"),
}
_SCALERS = ("GradScaler", "ShardedGradScaler")
_DTYPE_POSITION = 1
"""``torch.autocast(device_type, dtype)`` and ``torch.cuda.amp.autocast(enabled, dtype)``."""
_MAX_SCALER_ARGUMENTS = 4
"""The fifth argument of ``torch.cuda.amp.GradScaler`` is ``enabled``."""
_COMMENT = "bfloat16 needs no loss scaling: enable it for float16 only"


def find(code: CodeFile, node: ast.AST, context: Context) -> Token | None:
    """Return the token of a node, or ``None``."""
    if isinstance(node, ast.Call):
        if _is_autocast(code, node.func, context):
            return _autocast(code, node, context)
        if last_name(node.func) in _SCALERS and not code.is_own(node.func, context):
            return _scaler(code, node, context)
    elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
        return _reference(code, node, context)
    return None


def _is_autocast(code: CodeFile, function: ast.expr, context: Context) -> bool:
    name = code.dotted(function)
    if name in AUTOCASTS:
        return True
    # A bare name that nothing in the program defines comes from a version guard or through another module.
    return isinstance(function, ast.Name) and function.id == "autocast" and not code.is_own(function, context)


def _autocast(code: CodeFile, call: ast.Call, context: Context) -> Token | None:
    if any(each.arg is None for each in call.keywords) or any(isinstance(each, ast.Starred) for each in call.args):
        return code.refused(
            call, "the dtype of this region is in arguments that cannot be read. Write dtype=torch.bfloat16."
        )
    if keyword(call, "dtype") is not None or len(call.args) > _DTYPE_POSITION:
        # The dtype is a token of its own, where it is written.
        return None
    first = call.args[0] if call.args else keyword(call, "device_type")
    if is_off(keyword(call, "enabled")) or is_off(first, "cpu", "mps"):
        return None
    stays, refuses = why_it_stays(code, call, context)
    if stays is not None:
        return code.kept(call, stays)
    if refuses is not None:
        return code.refused(call, refuses)
    return code.converted(call, code.edit(call, "set-keyword", "torch.bfloat16", "dtype"))


def _scaler(code: CodeFile, call: ast.Call, context: Context) -> Token | None:
    enabled = keyword(call, "enabled")
    if is_off(enabled):
        return None
    if enabled is not None and _names_float16(enabled):
        return code.kept(call, "the scaler is on for float16 only")
    if not context.scaler_is_used:
        return code.kept(call, "every use of this scaler is in a branch that is never taken")
    stays, _ = why_it_stays(code, call, context)
    if stays is not None:
        return code.kept(call, stays)
    if len(call.args) > _MAX_SCALER_ARGUMENTS or any(each.arg is None for each in call.keywords):
        return code.refused(call, "the scaler's arguments cannot be read. Write enabled=False for bfloat16.")
    line = call.end_lineno or call.lineno
    return code.converted(
        call, code.edit(call, "set-keyword", "False", "enabled"), change.add_comment(code.name, line, _COMMENT)
    )


def _names_float16(enabled: ast.expr) -> bool:
    """Return whether a scaler follows the dtype itself: ``enabled=(dtype == "float16")``."""
    text = ast.unparse(enabled)
    compares = any(isinstance(node, ast.Compare) for node in ast.walk(enabled))
    return compares and any(name in text for name in ("float16", "fp16", "torch.half"))


def _reference(code: CodeFile, node: ast.Attribute | ast.Name, context: Context) -> Token | None:
    """Return the token of an autocast or a scaler that is passed on without being called."""
    parent = code.parents.get(node)
    if isinstance(parent, ast.Call) and parent.func is node:
        return None
    if isinstance(parent, ast.Attribute | ast.arg | ast.AnnAssign | ast.ClassDef) or _is_annotation(code, node):
        return None
    name = code.dotted(node)
    is_scaler = name.startswith("torch") and last_name(node) in _SCALERS
    if (name not in AUTOCASTS and not is_scaler) or is_compared(code, node):
        return None
    stays, _ = why_it_stays(code, node, context)
    reason = "it is passed on without being called here, so its dtype cannot be read. Say bfloat16 where it is called."
    return code.kept(node, stays) if stays else code.refused(node, reason)


def _is_annotation(code: CodeFile, node: ast.AST) -> bool:
    child = node
    for parent in code.ancestors(node):
        if isinstance(parent, ast.arg):
            return True
        if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef):
            return parent.returns is child
        if isinstance(parent, ast.stmt):
            return isinstance(parent, ast.AnnAssign) and parent.annotation is child
        child = parent
    return False
