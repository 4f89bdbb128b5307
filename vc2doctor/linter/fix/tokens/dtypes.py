"""Finds float16 as a dtype, a cast, a tensor type, or a text."""

import ast

from vc2doctor.linter.fix.tokens.branches import why_it_stays
from vc2doctor.linter.fix.tokens.token import (
    AMBIGUOUS_TEXTS,
    BFLOAT16,
    PRECISION_KEY,
    TEXTS,
    CodeFile,
    Context,
    Token,
    call_name,
    is_constant,
    keyword,
)
from vc2doctor.linter.read.module import last_name

_DTYPES = ("torch.float16", "torch.half")
_OTHER_ARRAYS = ("numpy", "jax", "cupy", "tensorflow", "mlx")
_READING_CALLS = ("get", "getattr", "hasattr", "pop", "setdefault", "has_attr")
_PRINTING_CALLS = {"print", "info", "warning", "warn", "debug", "error", "log", "format", "print_rank_0", "rank0_print"}
_FILE_KEYWORDS = ("variant", "revision", "help", "description", "metadata")
_NAMING_KEYWORDS = ("dest", "metavar", "name", "key")
"""Arguments that give something a name: ``add_argument("--half", dest="fp16")``."""
_LIBRARY_CALLS = ("Accelerator", "from_pretrained", "from_config", "BitsAndBytesConfig", "pipeline", "LLM", "Fabric")
"""Calls whose libraries take both names of a dtype, or of a precision, as text."""


def find(code: CodeFile, node: ast.AST, context: Context) -> Token | None:
    """Return the token of a node, or ``None``."""
    match node:
        case ast.Attribute(attr="float16" | "half"):
            return _dtype(code, node, context)
        case ast.Attribute(attr="HalfTensor") | ast.Name(id="HalfTensor"):
            return _tensor_type(code, node, context)
        case ast.Name(ctx=ast.Load()) if code.imports.get(node.id) in _DTYPES:
            return _decided(code, node, context, "torch.bfloat16")
        case ast.Constant(value=str(text)) if text.strip().lower() in TEXTS:
            return _text(code, node, text, context)
    return None


def _decided(code: CodeFile, node: ast.expr, context: Context, text: str) -> Token:
    stays, refuses = why_it_stays(code, node, context)
    if stays is not None:
        return code.kept(node, stays)
    if refuses is not None:
        return code.refused(node, refuses)
    return code.converted(node, code.replaced(node, text))


def _dtype(code: CodeFile, node: ast.Attribute, context: Context) -> Token | None:
    name, parent = code.dotted(node), code.parents.get(node)
    if name in _DTYPES:
        if isinstance(parent, ast.keyword) and parent.arg == "cast_inputs":
            reason = (
                "a custom operator casts its inputs to float16, and may have no bfloat16 kernel. Switch it by hand."
            )
            return code.refused(node, reason)
        return _decided(code, node, context, f"{ast.unparse(node.value)}.bfloat16")
    if name.partition(".")[0] in _OTHER_ARRAYS:
        if node.attr != "float16":
            return None
        stays, _ = why_it_stays(code, node, context)
        reason = "float16 outside of torch, where there may be no bfloat16. Check what reads it: use float32 there."
        return code.kept(node, stays) if stays else code.refused(node, reason, is_obstacle=True)
    if node.attr == "half" and isinstance(parent, ast.Call) and parent.func is node:
        return _cast(code, parent, node, context)
    return None


def _cast(code: CodeFile, call: ast.Call, function: ast.Attribute, context: Context) -> Token | None:
    if call.args or call.keywords:
        return None
    if "half" in context.definitions and isinstance(function.value, ast.Name) and function.value.id == "self":
        return None
    stays, refuses = why_it_stays(code, call, context)
    if stays is not None:
        return code.kept(call, stays)
    if refuses is not None:
        return code.refused(call, refuses)
    # The receiver can be a call over several lines. Only the name of the method is replaced, so that it stays as it is.
    return code.converted(call, code.edit(function, "rename-attribute", "bfloat16"))


def _tensor_type(code: CodeFile, node: ast.Attribute | ast.Name, context: Context) -> Token | None:
    if isinstance(node, ast.Attribute):
        return _decided(code, node, context, f"{ast.unparse(node.value)}.BFloat16Tensor")
    if not code.imports.get(node.id, "").startswith("torch"):
        return None
    return code.refused(node, "write torch.cuda.HalfTensor with its full name, and run this again.")


def _text(code: CodeFile, node: ast.Constant, text: str, context: Context) -> Token | None:
    parent = code.parents.get(node)
    if _is_no_precision(code, node, parent, text):
        return None
    if (isinstance(parent, ast.keyword) and parent.arg in _FILE_KEYWORDS) or _key_of(code, node) in _FILE_KEYWORDS:
        return code.kept(node, "names a file or a text, and no dtype of this program")
    new = TEXTS[text.strip().lower()]
    token = _decided(code, node, context, f'"{new}"')
    if not token.edits or _takes(code, node, new, context):
        return token
    return code.refused(node, f'it is not known whether the code that reads this text takes "{new}".')


def _is_no_precision(code: CodeFile, node: ast.Constant, parent: ast.AST | None, text: str) -> bool:
    """Return whether a text is a key that is read, a name in a message, or a word that only looks like a dtype."""
    if isinstance(parent, ast.Expr | ast.JoinedStr | ast.FormattedValue) or call_name(parent) in _PRINTING_CALLS:
        return True
    if isinstance(parent, ast.Dict) and node in parent.keys:
        # Keys are switches, or names in a table: see switches.py. The values of a table are judged one by one.
        return True
    is_named = isinstance(parent, ast.keyword) and parent.arg in _NAMING_KEYWORDS
    if is_named or (isinstance(parent, ast.Subscript) and parent.slice is node):
        return True
    name = call_name(parent)
    if name in _READING_CALLS and isinstance(parent, ast.Call) and node in parent.args[:2]:
        return is_constant(parent.args[0], text) or name in ("getattr", "hasattr")
    return text.strip().lower() in AMBIGUOUS_TEXTS and not PRECISION_KEY.search(_key_of(code, node))


def _key_of(code: CodeFile, node: ast.AST) -> str:
    """Return the name that a value is given to: an argument, a target, a key, or a flag of a parser."""
    child: ast.AST = node
    for parent in code.ancestors(node):
        name = _name_from(parent, child)
        if name is not None:
            return name
        child = parent
    return ""


def _name_from(parent: ast.AST, child: ast.AST) -> str | None:
    """Return the name that ``parent`` gives to ``child``; ``None``: it gives none, and what is around it decides."""
    match parent:
        case ast.keyword(arg=str(name)) if name != "default":
            return name
        case ast.Call() if call_name(parent) in ("add_argument", "option", "add_option"):
            flags = [each.value for each in parent.args if isinstance(each, ast.Constant)]
            return str(flags[-1]).lstrip("-").replace("-", "_") if flags else ""
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
            return _last_part(target)
        case ast.arguments():
            return _parameter(parent, child)
        case ast.Dict(keys=keys, values=values):
            key = next((key for key, value in zip(keys, values, strict=True) if value is child), None)
            return str(key.value) if isinstance(key, ast.Constant) else ""
    return "" if isinstance(parent, ast.stmt) else None


def _last_part(target: ast.expr) -> str:
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        return str(target.slice.value)
    return last_name(target)


def _parameter(arguments: ast.arguments, default: ast.AST) -> str:
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args)][::-1]
    pairs = [*zip(names, arguments.defaults[::-1], strict=False)]
    pairs += [
        (each.arg, value) for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value
    ]
    return next((name for name, value in pairs if value is default), "")


def _takes(code: CodeFile, node: ast.Constant, new: str, context: Context) -> bool:
    """Return whether the code that reads a text is known to take ``new`` as well."""
    key = _key_of(code, node)
    if not PRECISION_KEY.search(key):
        return False
    for parent in code.ancestors(node):
        if isinstance(parent, ast.Call):
            choices = keyword(parent, "choices")
            if choices is not None:
                return BFLOAT16.search(ast.unparse(choices)) is not None
            if call_name(parent) in _LIBRARY_CALLS or call_name(parent).endswith("Trainer"):
                return True
        if isinstance(parent, ast.stmt):
            break
    if new in context.strings:
        return True
    # A text that getattr(torch, …) reads can be any dtype of torch.
    return new == "bfloat16" and context.reads_dtype_by_name
