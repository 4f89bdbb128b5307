"""Finds what fails on bfloat16 tensors, or with a scaler that is off: ``.numpy()``, ``state_dict()["scale"]``."""

import ast

from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.fix.tokens.token import CodeFile, Context, Token, call_name, is_constant
from vc2doctor.linter.read.module import last_name

_FLOATING_WORDS = {
    *("logit", "logits", "prob", "probs", "feature", "features", "feat", "feats", "embed", "embeds", "embedding"),
    *("embeddings", "hidden", "loss", "losses", "score", "scores", "latent", "latents", "wav", "mel", "mels", "attn"),
    *("attention", "weight", "weights", "reward", "rewards", "logprob", "logprobs", "noise"),
}
"""Names of tensors that are never whole numbers. Outputs and predictions can be token ids, and images can be bytes."""
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
    *("cpu", "detach", "clone", "squeeze", "unsqueeze", "flatten", "contiguous", "cuda", "permute", "view", "reshape"),
    *("sum", "max", "min", "transpose", "t", "repeat", "expand"),
}
"""Methods of a tensor whose result has its dtype."""
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


def find(code: CodeFile, node: ast.AST, context: Context) -> Token | None:
    """Return the token of a node, or ``None``."""
    match node:
        case ast.Call(func=ast.Attribute(attr="numpy", value=receiver), args=[]):
            return _numpy(code, node, receiver, context)
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


def _numpy(code: CodeFile, call: ast.Call, receiver: ast.expr, context: Context) -> Token | None:
    if _is_data_code(code, call) or _is_dead(code, call, context) or any(map(_is_safe, ast.walk(receiver))):
        return None
    start = _start_of(receiver)
    named = words(last_name(start.func if isinstance(start, ast.Call) else start))
    if named & _WHOLE_NUMBER_WORDS or _is_from_a_loader(code, call, start):
        return None
    if named & _FLOATING_WORDS:
        return code.converted(call, code.replaced(receiver, f"{_grouped(receiver)}.float()"), is_obstacle=True)
    tensor = _start_of(receiver, through_items=False)
    if not any(isinstance(node, ast.Call | ast.NamedExpr | ast.Await) for node in ast.walk(tensor)):
        # The dtype is not known, and whole numbers have to stay whole numbers.
        text = _grouped(tensor)
        new = f"({text}.float() if {text}.dtype == torch.bfloat16 else {text})"
        return code.converted(call, code.replaced(tensor, new), is_obstacle=True)
    reason = "NumPy has no bfloat16: .numpy() raises TypeError on such a tensor. Add .float() before it."
    return code.refused(call, reason, is_obstacle=True)


def _grouped(expression: ast.expr) -> str:
    """Return the text of an expression that an attribute can follow: ``(x * 255)`` and ``x.y``."""
    is_primary = isinstance(expression, ast.Name | ast.Attribute | ast.Call | ast.Subscript)
    return ast.unparse(expression) if is_primary else f"({ast.unparse(expression)})"


def _is_safe(node: ast.AST) -> bool:
    """Return whether a part of the receiver makes it a dtype that NumPy has."""
    if call_name(node) in _SAFE_METHODS:
        return True
    if call_name(node) in ("to", "type", "astype"):
        return any(word in ast.unparse(node) for word in ("float32", "float64", "uint8", "int", "torch.float", "bool"))
    if isinstance(node, ast.Subscript) and call_name(node.value) in ("max", "min", "topk", "sort", "median", "mode"):
        # The second result of these is positions.
        return is_constant(node.slice, 1)
    return isinstance(node, ast.Compare) or (isinstance(node, ast.Attribute) and node.attr in ("dtype", "indices"))


def _start_of(receiver: ast.expr, *, through_items: bool = True) -> ast.expr:
    """Return what a chain of methods starts from: ``x.logits`` of ``x.logits[0].cpu().detach()``.

    Without ``through_items`` it is ``x.logits[0]``: what holds the items can be a list, which has no dtype.
    """
    while True:
        match receiver:
            case ast.Call(func=ast.Attribute(attr=name, value=value)) if name in _PASSING_METHODS:
                receiver = value
            case ast.Attribute(attr="data" | "T" | "mT", value=value):
                receiver = value
            case ast.Subscript(value=value) if through_items:
                receiver = value
            case _:
                return receiver


def _is_from_a_loader(code: CodeFile, call: ast.Call, start: ast.expr) -> bool:
    """Return whether a tensor is what a data loader gave, and was only moved since then."""
    scopes = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Module)
    scope = next((each for each in code.ancestors(call) if isinstance(each, scopes)), None)
    if scope is None or not isinstance(start, ast.Name):
        return False
    nodes = [*ast.walk(scope)]
    loops = [node for node in nodes if isinstance(node, ast.For) and _binds(node.target, start.id)]
    assignments = [
        node for node in nodes if isinstance(node, ast.Assign) and any(_binds(each, start.id) for each in node.targets)
    ]
    return (
        bool(loops)
        and all(words(ast.unparse(loop.iter)) & _DATA_WORDS for loop in loops)
        and all(
            call_name(each) in {*_PASSING_METHODS, "to", "device"}
            for assignment in assignments
            for each in ast.walk(assignment.value)
            if isinstance(each, ast.Call)
        )
    )


def _binds(target: ast.expr, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(target))


def _is_dead(code: CodeFile, node: ast.AST, context: Context) -> bool:
    """Return whether code is in a function or class that nothing in the program mentions."""
    return any(
        isinstance(parent, ast.FunctionDef | ast.ClassDef)
        and not parent.name.startswith("__")
        and parent.name not in context.mentions
        and not parent.decorator_list
        for parent in code.ancestors(node)
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
