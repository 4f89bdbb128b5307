"""Finds switches that turn float16 on: arguments of libraries, keys of DeepSpeed's configuration, and own settings."""

import ast

from vc2doctor.linter.fix.tokens.branches import FOLLOWS
from vc2doctor.linter.fix.tokens.token import (
    BFLOAT16,
    SWITCH,
    CodeFile,
    Context,
    Token,
    call_name,
    is_constant,
    is_off,
    is_true,
    keyword,
)
from vc2doctor.linter.read.module import last_name

_MAPPINGS = {"dict", "EasyDict", "edict", "Namespace", "SimpleNamespace", "Munch", "update", "defaultdict"}
_DEFINING_CALLS = ("add_argument", "add_option", "option", "field", "Field")
_LIGHTNING = ("Trainer", "Fabric", "LightningCLI", "MixedPrecision", "MixedPrecisionPlugin")
_PRECISION = 'it is not known who reads this precision. Lightning takes "bf16" instead.'
_OWN_SWITCH = "a switch of this program: every dtype, region and scaler that follows it is judged where it is written"


def find(code: CodeFile, node: ast.AST, context: Context) -> Token | None:
    """Return the token of a node, or ``None``."""
    match node:
        case ast.Call(keywords=keywords) if keywords:
            return _in_call(code, node, context)
        case ast.Dict():
            return _in_dict(code, node, context)
        case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
            return _assigned(code, node, _name_of(target), value, context)
    return None


def is_trainer_class(name: str, context: Context) -> bool:
    """Return whether a class takes the precision flags of transformers' trainer."""
    if name in context.trainer_classes:
        return True
    is_known = name.endswith(("TrainingArguments", "SFTConfig", "DPOConfig", "GRPOConfig", "RewardConfig", "KTOConfig"))
    return is_known and name not in context.definitions


def _in_call(code: CodeFile, call: ast.Call, context: Context) -> Token | None:
    name = call_name(call)
    for each in call.keywords:
        if name in _DEFINING_CALLS and each.arg == "default" and is_constant(each.value, 16):
            is_precision = any(is_constant(argument, "--precision", "precision") for argument in call.args)
            return code.refused(call, _PRECISION) if is_precision else None
        if each.arg == "precision" and name in _LIGHTNING and is_constant(each.value, 16):
            if code.is_own(call.func, context):
                return code.kept(call, _OWN_SWITCH)
            return code.converted(call, code.edit(call, "set-keyword", '"bf16"', "precision"))
        if each.arg is not None and SWITCH.match(each.arg) and not is_off(each.value):
            return _switch_of_call(code, call, each.arg, each.value, context)
    return None


def _switch_of_call(code: CodeFile, call: ast.Call, name: str, value: ast.expr, context: Context) -> Token | None:
    callee = call_name(call)
    if is_trainer_class(callee, context):
        return _trainer_switch(code, call, name, value)
    if callee in _DEFINING_CALLS:
        return None
    if code.is_own(call.func, context) or callee in _MAPPINGS:
        return code.kept(call, _OWN_SWITCH)
    reason = f"{callee or 'this call'} takes {name}, and what it does with it is not known. Say bfloat16 by hand."
    return code.refused(call, reason)


def _trainer_switch(code: CodeFile, call: ast.Call, name: str, value: ast.expr) -> Token:
    """Return the token of ``TrainingArguments(fp16=…)``: it becomes ``bf16=…``."""
    new = name.lower().replace("fp16", "bf16").replace("float16", "bf16")
    old_bf16 = keyword(call, new)
    if old_bf16 is None:
        return code.converted(call, code.edit(call, "rename-keyword", new, name))
    if not is_true(value):
        return code.kept(call, FOLLOWS)
    if is_true(old_bf16):
        return code.refused(call, f"both {name} and {new} are on, and transformers refuses that. Remove {name}.")
    edits = (code.edit(call, "set-keyword", "False", name), code.edit(call, "set-keyword", "True", new))
    return code.converted(call, *edits)


def _in_dict(code: CodeFile, node: ast.Dict, context: Context) -> Token | None:
    for key, value in zip(node.keys, node.values, strict=True):
        if is_constant(key, "precision") and is_constant(value, 16):
            return code.refused(value, _PRECISION)
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and SWITCH.match(key.value):
            has_bf16 = any(isinstance(each, ast.Constant) and each.value == "bf16" for each in node.keys)
            return _switch_of_dict(code, key, value, context, has_bf16=has_bf16)
    return None


def _switch_of_dict(
    code: CodeFile, key: ast.Constant, value: ast.expr, context: Context, *, has_bf16: bool
) -> Token | None:
    if is_off(value, "auto"):
        return None
    enabled = _enabled(value)
    if enabled is None:
        return _plain_switch(code, key, value, context, has_bf16=has_bf16)
    if is_off(enabled, "auto"):
        return None
    if has_bf16:
        reason = "this table has blocks for both dtypes. Turn the float16 block off and the bf16 block on."
        return code.kept(key, FOLLOWS) if not isinstance(enabled, ast.Constant) else code.refused(key, reason)
    # The other keys of the block are about loss scaling, which DeepSpeed does not do for bfloat16.
    block = f'{{"enabled": {ast.unparse(enabled)}}}'
    return code.converted(key, code.replaced(key, '"bf16"'), code.replaced(value, block))


def _plain_switch(
    code: CodeFile, key: ast.Constant, value: ast.expr, context: Context, *, has_bf16: bool
) -> Token | None:
    if not isinstance(value, ast.Constant):
        # A table from names to dtypes or functions. Its values are judged one by one.
        return None if BFLOAT16.search(ast.unparse(value)) or has_bf16 else code.kept(key, "a key of a table")
    if key.value in context.reads:
        return code.kept(key, _OWN_SWITCH)
    return code.refused(key, "it is not known who reads this key. Say bfloat16 by hand.")


def _enabled(value: ast.expr) -> ast.expr | None:
    """Return ``enabled`` of a block of DeepSpeed's configuration."""
    if isinstance(value, ast.Dict):
        for key, inner in zip(value.keys, value.values, strict=True):
            if is_constant(key, "enabled", "enable"):
                return inner
    return keyword(value, "enabled") if call_name(value) == "dict" and isinstance(value, ast.Call) else None


def _name_of(target: ast.expr) -> str:
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        return str(target.slice.value)
    return last_name(target)


def _assigned(
    code: CodeFile, node: ast.Assign | ast.AnnAssign, name: str, value: ast.expr, context: Context
) -> Token | None:
    if name == "precision" and is_constant(value, 16):
        return code.refused(node, _PRECISION)
    if not SWITCH.match(name) or is_off(value):
        return None
    if _enabled(value) is not None:
        return _assigned_block(code, node, value)
    reason = _why_refused(code, node, name, value, context)
    if reason is not None:
        return code.refused(node, reason)
    return code.kept(node, _OWN_SWITCH) if is_true(value) else None


def _why_refused(
    code: CodeFile, node: ast.Assign | ast.AnnAssign, name: str, value: ast.expr, context: Context
) -> str | None:
    """Return why the value of a switch cannot be judged."""
    if isinstance(value, ast.Dict) or call_name(value) == "dict":
        return "this turns float16 on in MMCV, which has no bfloat16 there. Use mmengine's AmpOptimWrapper."
    cls = next((each for each in code.ancestors(node) if isinstance(each, ast.ClassDef)), None)
    default = keyword(value, "default") if isinstance(value, ast.Call) else value
    if cls is not None and cls.name in context.trainer_classes and is_true(default):
        return "the default of the trainer's flag is float16. Make bf16 the flag that is on."
    if code.is_settings and is_true(value) and name not in context.reads:
        return "nothing in this program reads this key by its name, so it is not known who does."
    return None


def _assigned_block(code: CodeFile, node: ast.Assign | ast.AnnAssign, value: ast.expr) -> Token | None:
    """Return the token of ``config["fp16"] = {"enabled": True}``."""
    enabled = _enabled(value)
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    if is_off(enabled, "auto") or enabled is None:
        return None
    if not isinstance(target, ast.Subscript):
        return code.refused(node, "a block of DeepSpeed's configuration that cannot be renamed here. Call it bf16.")
    block = f'{{"enabled": {ast.unparse(enabled)}}}'
    return code.converted(node, code.replaced(target.slice, '"bf16"'), code.replaced(value, block))
