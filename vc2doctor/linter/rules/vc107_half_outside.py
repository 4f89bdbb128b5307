"""Half-precision values leave the autocast region that made them, or `forward` casts to float16 for good.

**Why.** What an autocast region returns is float16 or bfloat16; a float32 layer outside of any region then raises
"expected scalar type Float but found Half", unless a second, outer region happens to be on: it works with `amp: True`
and fails without. A hard `x.to(torch.float16)` inside `forward` undoes a change to bfloat16 for that part: the values
overflow at 65504 there, whatever the rest computes in.

**Bad**

    with self.maybe_autocast():
        embeds = self.visual_encoder(image)
    out = self.qformer(embeds)                 # float32 weights, half input

    qkv = qkv.to(dtype=torch.float16)

**Good**

    with self.maybe_autocast():
        embeds = self.visual_encoder(image)
        out = self.qformer(embeds)

    qkv = qkv.to(dtype=self.qkv.weight.dtype)

**Quiet** where `.float()` or `.to(...)` brings the value back, and where the cast is guarded by the dtype it restores.

**Silence** a line with `# vc2doctor: ignore[VC107]`.

**Since** torch 1.6.
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALVES, Region, dtype_names
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage, infers_by_path, without_gradients, words
from vc2doctor.linter.analyse.values import HALF
from vc2doctor.linter.analyse.weights import Cast
from vc2doctor.linter.model import CodeFinding, Edit
from vc2doctor.linter.read.config import UNKNOWN
from vc2doctor.linter.read.module import Function, Place, last_name, root_name
from vc2doctor.linter.to_bfloat16 import halves_to_bf16

_BACK = {"float", "to", "type", "type_as", "double"}


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find half-precision values where they do not belong."""
    seen: set[ast.stmt | None] = set()
    for cast in facts.weights.casts:
        statement = cast.call.place.statement
        if _is_hard(cast) and statement not in seen:
            seen.add(statement)
            yield _hard(cast)
    for region in facts.autocast.regions:
        if region.stage is Stage.TRAINS and region.place.function.cls is not None and not region.autocast.off:
            yield from _leaks(facts, region)


def _is_hard(cast: Cast) -> bool:
    place = cast.call.place
    # A frozen encoder runs without gradients inside of a forward pass that trains, so no_grad is no excuse.
    infers = infers_by_path(place.module.name) or (cast.stage is Stage.INFERS and not without_gradients(place))
    if infers or cast.dtypes != {HALF} or UNKNOWN in cast.dtypes or cast.of_module:
        return False
    cls = place.function.cls
    if not _in_forward(place.function) or (cls is None and "qkv" not in ast.unparse(cast.receiver)):
        return False
    if any(_asks_for_half(test) for test, wanted in place.tests if wanted):
        return False
    return not _chosen(cast)


def _chosen(cast: Cast) -> bool:
    """Say whether an expression chooses the cast: ``x.half() if dtype == torch.float16 else x``."""
    statement = cast.call.place.statement
    if isinstance(cast.given, ast.IfExp) or statement is None:
        return isinstance(cast.given, ast.IfExp)
    choices = (node for node in ast.walk(statement) if isinstance(node, ast.IfExp))
    return any(any(node is cast.call.node for node in ast.walk(choice)) for choice in choices)


def _in_forward(function: Function | None) -> bool:
    while function is not None:
        if "forward" in words(function.name):
            return True
        function = function.outer
    return False


def _asks_for_half(test: ast.expr) -> bool:
    """Say whether a condition holds only for float16, or where a GPU cannot do better."""
    text = ast.unparse(test)
    if (
        "is_bf16_supported" in text
        or "get_device_capability" in text
        or "fp16" in text
        or "half" in text
        or "precision" in text
    ):
        return True
    return any(
        isinstance(node, ast.Compare)
        and isinstance(node.ops[0], ast.Eq)
        and last_name(node.comparators[0]) in ("float16", "half")
        for node in ast.walk(test)
    )


def _hard(cast: Cast) -> CodeFinding:
    module = cast.call.place.module
    node = cast.call.node
    given = cast.given
    found = build.at(
        module,
        node,
        "VC107",
        Severity.NOTE if cast.stage is Stage.INFERS else Severity.WARNING,
        f"{build.code(node)} inside forward: this part is float16, whatever the run is",
        remedy="Cast to the dtype of the weights it meets, not to a literal.",
        role="cast",
        cause="float16",
        if_missed="this part still computes in float16 after everything else is bfloat16",
        bf16=(*halves_to_bf16(module, given), *_guard(cast)) if given is not None else (),
    )
    tests = cast.call.place.tests
    return (
        found.model_copy(update={"line": min(tests[-1][0].lineno, node.lineno)})
        if tests and node.lineno - tests[-1][0].lineno == 1
        else found
    )


def _guard(cast: Cast) -> tuple[Edit, ...]:
    """Return the edits of ``if x.dtype != torch.float16:`` around a cast: it asks for what the cast makes."""
    tests = cast.call.place.tests
    return halves_to_bf16(cast.call.place.module, tests[-1][0]) if tests else ()


def _leaks(facts: Facts, region: Region) -> Iterator[CodeFinding]:
    function = region.place.function
    half = _assigned_inside(region.statement)
    if not half:
        return
    for place in function.module.statements:
        statement = place.statement
        if (
            place.function is not function
            or statement is None
            or statement.lineno <= (region.statement.end_lineno or 0)
        ):
            continue
        if isinstance(statement, ast.With | ast.AsyncWith | ast.If | ast.For | ast.While | ast.Try):
            continue
        if place.withs != region.place.withs or any(test not in place.tests for test in region.place.tests):
            continue
        back = _brought_back(statement)
        half -= back
        user = _consumer(facts, statement, half, place)
        if user is not None:
            yield _leak(region, user, half)
            return
        half -= _reassigned(statement)
        if not half:
            return


def _assigned_inside(statement: ast.With | ast.AsyncWith) -> set[str]:
    """Return the names that the region's last results have: assigned from a call of a module of ``self``."""
    names: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            first = node.targets[0]
            if isinstance(first, ast.Name):
                outside = last_name(node.value.func) in _BACK and not _to_half(node.value)
                names.discard(first.id) if outside else None
                if _calls_module(node.value) and not outside:
                    names.add(first.id)
    return names


def _to_half(call: ast.Call) -> bool:
    return any(
        last_name(each) in ("float16", "bfloat16", "half", "device")
        for each in (*call.args, *(keyword.value for keyword in call.keywords))
    )


def _calls_module(node: ast.Call) -> bool:
    return (
        isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "self"
        and "autocast" not in node.func.attr
    )


def _brought_back(statement: ast.stmt) -> set[str]:
    return (
        {
            root_name(node.func.value)
            for node in ast.walk(statement)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _BACK
        }
        if isinstance(statement, ast.Assign)
        else set()
    )


def _reassigned(statement: ast.stmt) -> set[str]:
    if not isinstance(statement, ast.Assign):
        return set()
    return {target.id for target in statement.targets if isinstance(target, ast.Name)}


def _consumer(facts: Facts, statement: ast.stmt, half: set[str], place: Place) -> ast.Call | None:
    """Return the call of a module of ``self`` that takes a half value as it is."""
    for node in ast.walk(statement):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or root_name(node.func) != "self":
            continue
        cls = place.function.cls
        if (
            cls is not None
            and isinstance(node.func.value, ast.Name)
            and facts.code.method(cls, node.func.attr) is not None
        ):
            continue
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        if any(isinstance(each, ast.Name) and each.id in half for each in given):
            return node
    return None


def _leak(region: Region, user: ast.Call, half: set[str]) -> CodeFinding:
    module = region.place.module
    name = next(
        each.id
        for each in (*user.args, *(keyword.value for keyword in user.keywords))
        if isinstance(each, ast.Name) and each.id in half
    )
    found = build.at(
        module,
        user,
        "VC107",
        Severity.WARNING,
        f"{name} is {dtype_names(region.dtypes & HALVES) or 'half'} when it leaves its region, and {build.code(user.func)} is called outside of any",
        evidence=(
            f"made in the region at {build.place(module, region.call.node).location}",
            "it works only while an outer autocast is on; without one it is a dtype error",
        ),
        remedy=f"Move the call into the region, or bring it back: {name}.float().",
        url=build.AMP_EXAMPLES,
    )
    return found.model_copy(update={"line": build.span(module, region.statement)[1]})
