"""Finds what a GPU without bfloat16 cannot run, and converts it where flags of a trainer or of accelerate decide.

The target is float16 autocast with loss scaling over float32 trainables, which transformers' Trainer, accelerate and
DeepSpeed set up from their flags. Regions and scalers of hand-written loops are left to people.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

from vc2doctor.linter.fix.tokens import scripts, settings
from vc2doctor.linter.fix.tokens.branches import is_choice, is_compared
from vc2doctor.linter.fix.tokens.switches import is_trainer_class
from vc2doctor.linter.fix.tokens.token import CodeFile, Context, Token, call_name, is_constant, is_off, is_true, keyword

_BY_HAND = (
    "bfloat16, which this GPU only emulates. Compute in float16 here: torch.autocast with dtype=torch.float16, float32"
    " trainables, and a GradScaler."
)
_SWAPPED = {"bf16": "fp16", "fp16": "bf16", "bfloat16": "float16", "float16": "bfloat16"}
_NAMES = re.compile("|".join(sorted(_SWAPPED, key=len, reverse=True)))
_HALF_PRECISION = re.compile(
    r"""--(bf16|fp16)\b(?![= ]+(False|0))|mixed_precision\W+(bf16|fp16)|["']?(bf16|fp16)["']?\s*:\s*(true|\{)""",
    re.IGNORECASE,
)
_LOADS = ("from_pretrained", "from_config")
_ADAPTERS = ("get_peft_model", "LoraConfig", "PeftModel")


def find(code: CodeFile, node: ast.AST, context: Context) -> Token | None:
    """Return the token of a node of code, or ``None``."""
    match node:
        case ast.Call() if keyword(node, "bf16") is not None and not is_off(keyword(node, "bf16")):
            return _trainer_switch(code, node, context)
        case ast.Attribute(attr="bfloat16"):
            return _dtype(code, node, context)
        case ast.Attribute(attr="float16" | "half") if code.dotted(node).startswith("torch."):
            return _half_load(code, node, context)
        case ast.Constant(value="bf16" | "bfloat16" | "bf16-mixed" | "torch.bfloat16"):
            return _text(code, node)
    return None


def _trainer_switch(code: CodeFile, call: ast.Call, context: Context) -> Token | None:
    if not is_trainer_class(call_name(call), context):
        return None if code.is_own(call.func, context) or call_name(call) == "field" else code.refused(call, _BY_HAND)
    if keyword(call, "fp16") is None:
        return code.converted(call, code.edit(call, "rename-keyword", "fp16", "bf16"))
    if not is_true(keyword(call, "bf16")) or not is_off(keyword(call, "fp16")):
        return code.refused(call, "both flags are passed here. Say fp16=True and bf16=False for this GPU.")
    edits = (code.edit(call, "set-keyword", "False", "bf16"), code.edit(call, "set-keyword", "True", "fp16"))
    return code.converted(call, *edits)


def _dtype(code: CodeFile, node: ast.Attribute, context: Context) -> Token | None:
    if is_compared(code, node) or is_choice(code, node):
        return code.kept(node, "compared with, or one of several choices")
    parent = code.parents.get(node)
    call = code.parents.get(parent) if parent is not None else None
    if isinstance(parent, ast.keyword) and parent.arg == "bnb_4bit_compute_dtype":
        return code.converted(node, code.replaced(node, "torch.float16"))
    if isinstance(parent, ast.keyword) and call_name(call) in _LOADS:
        return code.converted(node, code.replaced(node, _dtype_of_load(context)))
    return code.refused(node, _BY_HAND)


def scales_the_loss(code: CodeFile, context: Context) -> bool:
    """Return whether a flag in this code makes a trainer or accelerate compute in half precision and scale the loss."""
    for node in code.nodes:
        if not isinstance(node, ast.Call):
            continue
        flags = [keyword(node, name) for name in ("fp16", "bf16")]
        if is_trainer_class(call_name(node), context) and any(flag is not None and not is_off(flag) for flag in flags):
            return True
        if call_name(node) == "Accelerator" and is_constant(keyword(node, "mixed_precision"), "fp16", "bf16"):
            return True
    return False


def names_half_precision(text: str) -> bool:
    """Return whether a command or a configuration turns half precision on for a trainer, accelerate or DeepSpeed."""
    return _HALF_PRECISION.search(text) is not None


def _dtype_of_load(context: Context) -> str:
    """Return the dtype of loaded weights: float16 under adapters, which are float32 themselves, and else float32."""
    return "torch.float16" if context.mentions & set(_ADAPTERS) else "torch.float32"


def _half_load(code: CodeFile, node: ast.Attribute, context: Context) -> Token | None:
    """Return the token of float16 weights that are trained as a whole: a scaler refuses their gradients."""
    parent = code.parents.get(node)
    call = code.parents.get(parent) if parent is not None else None
    if not isinstance(parent, ast.keyword) or call_name(call) not in _LOADS or context.mentions & set(_ADAPTERS):
        return None
    return code.converted(node, code.replaced(node, "torch.float32"))


def _text(code: CodeFile, node: ast.Constant) -> Token | None:
    parent = code.parents.get(node)
    if isinstance(parent, ast.Expr | ast.Subscript) or is_compared(code, node) or is_choice(code, node):
        return None
    call = code.parents.get(parent) if parent is not None else None
    if isinstance(parent, ast.keyword) and parent.arg == "mixed_precision" and call_name(call) == "Accelerator":
        return code.converted(node, code.replaced(node, '"fp16"'))
    if isinstance(parent, ast.keyword) and parent.arg == "bnb_4bit_compute_dtype":
        return code.converted(node, code.replaced(node, '"float16"'))
    if isinstance(parent, ast.keyword) and parent.arg == "default" and is_constant(node, "bf16"):
        choices = keyword(call, "choices") if isinstance(call, ast.Call) else None
        if choices is not None and "fp16" in ast.unparse(choices):
            return code.converted(node, code.replaced(node, '"fp16"'))
    return code.refused(node, _BY_HAND)


def find_in_settings(name: str, text: str, context: Context) -> Iterator[Token]:
    """Yield the tokens of a YAML or JSON file."""
    for token in settings.find(name, _mirrored(text), _mirrored_context(context)):
        yield _back(token)
    yield from _long_names(name, 1, text)


def find_in_command(command: scripts.Command, context: Context) -> Iterator[Token]:
    """Yield the tokens of a command."""
    lines = tuple(line._replace(text=_mirrored(line.text)) for line in command.lines)
    for token in scripts.find(command._replace(lines=lines), _mirrored_context(context)):
        yield _back(token)
    for line in command.lines:
        yield from _long_names(command.script, line.number, line.text)


def _long_names(name: str, first: int, text: str) -> Iterator[Token]:
    for number, line in enumerate(text.split("\n"), first):
        if "bfloat16" in line.partition("#")[0]:
            yield Token(name, number, line.strip(), refuses=_BY_HAND)


def _mirrored(text: str) -> str:
    """Return a text with ``bf16`` and ``fp16`` exchanged, which keeps all positions."""
    return re.sub("bf16|fp16", lambda match: _SWAPPED[match.group()], text).replace("bfloat16", "bfloat_6")


def _mirrored_context(context: Context) -> Context:
    return replace(
        context,
        own_flags=frozenset(map(_mirrored, context.own_flags)),
        strings=frozenset(map(_mirrored, context.strings)),
        reads=frozenset(map(_mirrored, context.reads)),
    )


def _back(token: Token) -> Token:
    edits = tuple(edit.model_copy(update={"text": _swapped(edit.text)}) for edit in token.edits)
    refuses = _swapped(token.refuses) if token.refuses is not None else None
    return token._replace(code=_swapped(token.code), edits=edits, refuses=refuses)


def _swapped(text: str) -> str:
    return _NAMES.sub(lambda match: _SWAPPED[match.group()], text)
