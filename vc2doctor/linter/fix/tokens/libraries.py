"""Finds what only float16 has: apex, optimizer wrappers, custom operators, and float16 functions of libraries."""

import ast
import re

from vc2doctor.linter.fix.tokens.branches import why_it_stays
from vc2doctor.linter.fix.tokens.token import QUANTIZED, CodeFile, Context, Token, call_name
from vc2doctor.linter.read.module import last_name

_WRAPPERS = {
    "AmpOptimWrapper": 'it scales the loss, and is float16 without a dtype. Give it dtype="bfloat16".',
    "Fp16OptimizerHook": "MMCV's hook knows float16 only. Use mmengine's AmpOptimWrapper with dtype='bfloat16'.",
    "FP16_Optimizer": "it knows float16 only. Use torch.autocast with dtype=torch.bfloat16 and a plain optimizer.",
    "NativeScaler": "timm's scaler is always on, and needs float32 gradients. Use torch's GradScaler(enabled=False).",
    "ApexScaler": "apex knows float16 only. Use torch.autocast with dtype=torch.bfloat16.",
}
_TEXTS = {
    **_WRAPPERS,
    # The amp block of DeepSpeed, `{"amp": {"enabled": True, "opt_level": "O1"}}`, is apex.
    "opt_level": "apex's amp, which opt_level belongs to, knows float16 only. Use a bf16 block.",
}
"""Texts that select what knows float16 only."""
_FLOAT16_FUNCTION = re.compile(
    r"(^|_)(to_|as_|use_|enable_)?(fp16|float16)$|to_half$|^convert_.*(fp16|half)|^half_", re.IGNORECASE
)
_QUANTIZING = {"GPTQConfig", "AwqConfig", "AutoGPTQForCausalLM", "AutoAWQForCausalLM", "prepare_model_for_gptq"}
_EXTENSION_PACKAGES = (
    "torch.utils.cpp_extension",
    "tinycudann",
    "spconv",
    "MultiScaleDeformableAttention",
    "cpm_kernels",
)


def find(code: CodeFile, node: ast.AST, context: Context) -> Token | None:
    """Return the token of a node, or ``None``."""
    match node:
        case ast.Call():
            return _call(code, node, context)
        case ast.Import(names=names):
            return _imported(code, node, [alias.name for alias in names])
        case ast.ImportFrom(module=str(module), level=0):
            return _imported(code, node, [module])
        case ast.Constant(value=str(text)) if text in _TEXTS:
            return code.refused(node, _TEXTS[text])
        case ast.Constant(value=str(text)) if QUANTIZED.search(text) and "/" in text and " " not in text:
            return _quantized(code, node, context)
    return None


def _call(code: CodeFile, call: ast.Call, context: Context) -> Token | None:
    name, dotted = call_name(call), code.dotted(call.func)
    if dotted.startswith("apex") and name == "initialize":
        return code.refused(call, "apex's amp knows float16 only. Use torch.autocast with dtype=torch.bfloat16.")
    if name in _WRAPPERS and not code.is_own(call.func, context):
        return code.refused(call, _WRAPPERS[name])
    if name in _QUANTIZING:
        return _quantized(code, call, context)
    if _FLOAT16_FUNCTION.search(name) and not code.is_own(call.func, context):
        stays, _ = why_it_stays(code, call, context)
        reason = f"{name} is not in this project, and its name says float16. Replace it by hand."
        return code.kept(call, stays) if stays else code.refused(call, reason)
    if last_name(call.func) == "load" and dotted.startswith("torch.utils.cpp_extension"):
        return _custom_operator(code, call)
    return None


def _quantized(code: CodeFile, node: ast.expr, context: Context) -> Token:
    stays, _ = why_it_stays(code, node, context)
    reason = (
        "a GPTQ, AWQ or Int4 base: its kernels take float16 only. Leave this program in float16, with a loss scaler."
    )
    return code.kept(node, stays) if stays else code.refused(node, reason, is_obstacle=True)


def _imported(code: CodeFile, node: ast.stmt, modules: list[str]) -> Token | None:
    is_extension = any(
        module == package or module.startswith(f"{package}.") for module in modules for package in _EXTENSION_PACKAGES
    )
    return _custom_operator(code, node) if is_extension else None


def _custom_operator(code: CodeFile, node: ast.AST) -> Token:
    reason = (
        "a custom operator: it is not known whether it has a bfloat16 kernel. Check its dispatch, or run it in float32."
    )
    return code.refused(node, reason, is_obstacle=True)
