"""Tells whether code is a choice: a branch beside one for bfloat16, a comparison, or an entry of a table of dtypes."""

import ast
from collections.abc import Iterator

from vc2doctor.linter.fix.tokens.token import BFLOAT16, CodeFile, Context, call_name
from vc2doctor.linter.read.module import last_name, root_name

COMPARED = "it is compared with, and computes nothing"
CHOICE = "an entry of a table or list of choices that has bfloat16 as well"
FOLLOWS = "follows a flag or the hardware: the branch beside it is bfloat16"
NEVER = "in a branch that is never taken"
TAKEN = "the settings choose this branch, and the branch beside it is bfloat16. Change what the condition depends on."


def why_it_stays(code: CodeFile, node: ast.AST, context: Context) -> tuple[str | None, str | None]:
    """Return why a dtype may stay, and why it cannot be decided; both ``None``: it has to be converted."""
    if is_compared(code, node):
        return COMPARED, None
    if is_choice(code, node):
        return CHOICE, None
    branch = _branch(code, node)
    if branch is None:
        return None, None
    taken = _is_taken(code, node, branch, context)
    if taken is None:
        return FOLLOWS, None
    return (None, TAKEN) if taken else (NEVER, None)


def is_compared(code: CodeFile, node: ast.AST) -> bool:
    """Return whether a value is only compared: ``x.dtype == torch.float16``, ``isinstance(x, torch.HalfTensor)``."""
    for parent in code.ancestors(node):
        if isinstance(parent, ast.Compare | ast.match_case):
            return True
        if call_name(parent) in ("isinstance", "issubclass", "startswith", "endswith"):
            return True
        if not isinstance(parent, ast.Tuple | ast.List | ast.Set | ast.MatchValue | ast.MatchOr):
            return False
    return False


def is_choice(code: CodeFile, node: ast.AST) -> bool:
    """Return whether a value stands beside its bfloat16 counterpart: ``{"fp16": …, "bf16": …}``, ``choices=[…]``."""
    if _is_under_a_key(code, node):
        return True
    for parent in code.ancestors(node):
        if isinstance(parent, ast.List | ast.Tuple | ast.Set | ast.Dict):
            if BFLOAT16.search(ast.unparse(parent)):
                return True
        elif isinstance(parent, ast.Subscript) and last_name(parent.value) == "Literal":
            return True
        elif isinstance(parent, ast.keyword):
            return parent.arg == "choices"
        elif not isinstance(parent, ast.Attribute):
            return False
    return False


def _is_under_a_key(code: CodeFile, node: ast.AST) -> bool:
    """Return whether a value belongs to float16's key of a table: ``{"fp16": region(torch.float16), "bf16": …}``."""
    child = node
    for parent in code.ancestors(node):
        if isinstance(parent, ast.stmt):
            return False
        if isinstance(parent, ast.Dict) and child in parent.values:
            key = parent.keys[parent.values.index(child)]
            names = [str(each.value) for each in parent.keys if isinstance(each, ast.Constant)]
            is_of_float16 = isinstance(key, ast.Constant) and str(key.value).lower() in ("fp16", "float16", "half")
            if is_of_float16 and any(BFLOAT16.search(name) for name in names):
                return True
        child = parent
    return False


def _branch(code: CodeFile, node: ast.AST) -> ast.IfExp | ast.If | None:
    """Return the condition that a value is under, if another branch decides bfloat16 for the same thing."""
    child, inner = node, code.statement_of(node)
    for parent in code.ancestors(node):
        if isinstance(parent, ast.IfExp) and child is not parent.test:
            other = parent.orelse if child is parent.body else parent.body
            if BFLOAT16.search(ast.unparse(other)):
                return parent
        if isinstance(parent, ast.If) and inner is not None and child is not parent.test:
            others = [*_other_branch(parent, child), *_statements_beside(code, parent)]
            if any(_decides_the_same(statement, inner) for other in others for statement in _statements(other)):
                return parent
        if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            return None
        child = parent
    return None


def _other_branch(condition: ast.If, child: ast.AST) -> list[ast.stmt]:
    return condition.orelse if child in condition.body else condition.body


def _statements_beside(code: CodeFile, condition: ast.If) -> list[ast.stmt]:
    """Return the other conditional statements and returns of the block that a condition is in."""
    parent = code.parents.get(condition)
    blocks = [getattr(parent, name, []) for name in ("body", "orelse", "finalbody")]
    block = next((block for block in blocks if isinstance(block, list) and condition in block), [])
    return [each for each in block if each is not condition and isinstance(each, ast.If | ast.Return)]


def _statements(top: ast.stmt) -> Iterator[ast.stmt]:
    return (node for node in ast.walk(top) if isinstance(node, ast.stmt))


def _decides_the_same(statement: ast.stmt, other: ast.stmt) -> bool:
    """Return whether a statement decides bfloat16 for what ``other`` decides: the same target, receiver or return."""
    if type(statement) is not type(other) or _subject(statement) != _subject(other):
        return False
    if _subject(statement) is None:
        return False
    # The body of a region holds other code: only what opens it counts.
    heads = statement.items if isinstance(statement, ast.With) else [statement]
    return any(BFLOAT16.search(ast.unparse(head)) for head in heads)


def _subject(statement: ast.stmt) -> str | None:
    match statement:
        case ast.Assign(targets=targets):
            return _neutral(", ".join(map(ast.unparse, targets)))
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            return _neutral(ast.unparse(target))
        case ast.Expr(value=ast.Call() as call):
            return root_name(call)
        case ast.Return() | ast.With():
            return "the result"
    return None


def _neutral(text: str) -> str:
    """Return the text of a target without the dtype in it: ``config["fp16"]`` and ``config["bf16"]`` are the same."""
    return BFLOAT16.sub("fp16", text).replace("float16", "fp16")


def _is_taken(code: CodeFile, node: ast.AST, branch: ast.IfExp | ast.If, context: Context) -> bool | None:
    """Return whether the branch of a value is taken, as far as the settings of the project tell."""
    module, statement = code.module, code.statement_of(node)
    if module is None or context.facts is None or statement is None:
        return None
    place = next((each for each in module.statements if each.statement is statement), None)
    if place is None:
        return None
    if isinstance(branch, ast.If):
        return context.facts.values.is_reached(place)
    truth = context.facts.values.truth(branch.test, place)
    wanted = any(node is each for each in ast.walk(branch.body))
    return None if truth is None else truth is wanted
