"""Finds what fails on bfloat16 tensors, or with a scaler that is off: ``.numpy()``, ``state_dict()["scale"]``."""

import ast

from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.fix.tokens.token import CodeFile, Context, Token, call_name, is_constant
from vc2doctor.linter.read.module import last_name

_FLOATING_WORDS = {
    *("logit", "logits", "output", "outputs", "out", "pred", "preds", "prob", "probs", "feature", "features", "feat"),
    *("feats", "embed", "embeds", "embedding", "embeddings", "hidden", "loss", "losses", "score", "scores", "latents"),
    *("latent", "image", "images", "img", "imgs", "video", "videos", "audio", "wav", "mel", "mels", "attn", "weight"),
    *("weights", "attention", "reward", "rewards", "logprobs", "logprob", "noise", "sample", "samples", "hat", "f0"),
}
_WHOLE_NUMBER_WORDS = {
    *("label", "labels", "id", "ids", "idx", "idxs", "index", "indices", "token", "tokens", "mask", "masks", "target"),
    *("targets", "len", "lens", "length", "lengths", "gt", "class", "classes", "count", "counts", "perm", "order"),
    *("input_ids", "timestep", "timesteps", "position", "positions", "inds", "ind", "keep"),
}
_SAFE_METHODS = {
    *("float", "double", "long", "int", "bool", "byte", "argmax", "argmin", "argsort", "nonzero", "tolist", "short"),
    *("multinomial", "randperm", "randint", "eq", "ne", "gt", "lt", "uint8", "from_numpy", "arange", "tensor", "char"),
}
_PASSING_METHODS = {
    "cpu",
    "detach",
    "clone",
    "squeeze",
    "unsqueeze",
    "flatten",
    "contiguous",
    "cuda",
    "data",
    "permute",
}
_DATA_WORDS = {
    "data",
    "dataset",
    "datasets",
    "dataloader",
    "loader",
    "preprocess",
    "preprocessing",
    "transform",
    "transforms",
    "augment",
}


def find(code: CodeFile, node: ast.AST, _: Context) -> Token | None:
    """Return the token of a node, or ``None``."""
    match node:
        case ast.Call(func=ast.Attribute(attr="numpy", value=receiver), args=[]):
            return _numpy(code, node, receiver)
        case ast.Subscript(value=ast.Call(func=ast.Attribute(attr="state_dict") as function), slice=key):
            return _scale(code, node, function, key)
        case ast.Attribute(attr="_scale" | "_growth_tracker") if "scaler" in words(ast.unparse(node.value)):
            return code.refused(node, "a scaler that is off has no scale here. Use get_scale().", is_obstacle=True)
    return None


def _scale(code: CodeFile, node: ast.Subscript, function: ast.Attribute, key: ast.expr) -> Token | None:
    """Return the token of ``scaler.state_dict()["scale"]``: a scaler that is off has an empty state."""
    if not is_constant(key, "scale") or "scaler" not in words(ast.unparse(function.value)):
        return None
    new = f'{ast.unparse(node.value)}.get("scale", 1.0)'
    return code.converted(node, code.replaced(node, new), is_obstacle=True)


def _numpy(code: CodeFile, call: ast.Call, receiver: ast.expr) -> Token | None:
    if _is_data_code(code, call) or any(_is_safe(each) for each in ast.walk(receiver)):
        return None
    named = words(_name_of(receiver))
    if named & _WHOLE_NUMBER_WORDS:
        return None
    text = ast.unparse(receiver)
    if named & _FLOATING_WORDS:
        return code.converted(call, code.replaced(receiver, f"{text}.float()"), is_obstacle=True)
    if _is_repeatable(receiver):
        new = f"({text}.float() if {text}.dtype == torch.bfloat16 else {text})"
        return code.converted(call, code.replaced(receiver, new), is_obstacle=True)
    reason = "NumPy has no bfloat16: .numpy() raises TypeError on such a tensor. Add .float() before it."
    return code.refused(call, reason, is_obstacle=True)


def _is_safe(node: ast.AST) -> bool:
    """Return whether a part of the receiver makes it a dtype that NumPy has."""
    if call_name(node) in _SAFE_METHODS:
        return True
    if call_name(node) in ("to", "type", "astype"):
        return any(word in ast.unparse(node) for word in ("float32", "float64", "uint8", "int", "torch.float", "bool"))
    return isinstance(node, ast.Compare) or (isinstance(node, ast.Attribute) and node.attr == "dtype")


def _name_of(receiver: ast.expr) -> str:
    """Return the name of the tensor that a chain of methods starts from: ``logits`` of ``x.logits.cpu().detach()``."""
    while True:
        match receiver:
            case ast.Call(func=ast.Attribute(attr=name, value=value)) if name in _PASSING_METHODS:
                receiver = value
            case ast.Attribute(attr="data", value=value) | ast.Subscript(value=value):
                receiver = value
            case ast.Call(func=function):
                return last_name(function)
            case _:
                return last_name(receiver)


def _is_repeatable(receiver: ast.expr) -> bool:
    """Return whether an expression can be written twice: it only names, indexes and passes a tensor on."""
    return all(
        call_name(node) in _PASSING_METHODS
        for node in ast.walk(receiver)
        if isinstance(node, ast.Call | ast.NamedExpr | ast.Await | ast.Yield)
    )


def _is_data_code(code: CodeFile, node: ast.AST) -> bool:
    """Return whether code prepares data: its tensors do not come from the model."""
    if words(code.name.removesuffix(".py")) & _DATA_WORDS:
        return True
    for parent in code.ancestors(node):
        if isinstance(parent, ast.ClassDef) and words(parent.name) & _DATA_WORDS:
            return True
        if isinstance(parent, ast.FunctionDef) and (words(parent.name) & (_DATA_WORDS | {"collate", "getitem"})):
            return True
    return False
