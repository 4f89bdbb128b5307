"""A nested autocast region that contradicts the region around it or the weights.

**What it does.** Reports regions of models whose dtype is not that of the training step around them or of the weights,
helpers with a float16 default that open such regions, and autocasts that a `with` never opens. A note is about a block
with `enabled=False` in a step that a framework runs in a region: what a network gave there stays half without `.float()`.

**Why is this bad.** The innermost region decides: an outer bfloat16 region has no effect on code inside a float16
helper. autocast also casts the weights, so bfloat16 weights inside a float16 region compute in float16 and overflow at
65504, without an error or a warning. A change to bfloat16 usually removes the scaler, and then nothing skips the bad
step: 10 of 10 trainable tensors were NaN after the first step (measured; in VideoChat2 itself the joint of text and
video raises).

**Example**

    def maybe_autocast(self, dtype=torch.float16):
        return torch.cuda.amp.autocast(dtype=dtype)

    with self.maybe_autocast():          # float16, whatever region is around it
        outputs = self.llm(inputs_embeds=embeds)

**Use instead**

    def maybe_autocast(self, dtype=torch.bfloat16):
        return torch.cuda.amp.autocast(dtype=dtype)

**How to fix.** Change the default of the helper: it decides most of the computation. Change the weights, the outer
region and the scaler with it: `vc2doctor lint --precision bf16 --fix`. To keep a line, add `# vc2doctor:
ignore[VC103]`.

**Quiet.** No finding in `generate` and other inference, for helpers whose default is bfloat16, and for `enabled=False`.
It is a note where the class of the model freezes all that the region holds.

**References**

* https://github.com/OpenGVLab/Ask-Anything/issues/190
* https://docs.pytorch.org/docs/stable/amp.html#autocasting (nesting behaves the same in torch 1.13 to 2.13, measured)
"""

import ast
from collections.abc import Iterator
from typing import TypeGuard

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.autocast import Helper, Region, dtype_names
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16
from vc2doctor.linter.analyse.entry_points import entry_points_of
from vc2doctor.linter.analyse.expressions import expressions_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.frozen import frozen_attributes
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import Stage, words
from vc2doctor.linter.analyse.tensor_dtypes import TensorFacts
from vc2doctor.linter.analyse.tensor_kinds import Kind, Mode, TensorContext
from vc2doctor.linter.detectors.unlifted_inputs import unlifted_regions
from vc2doctor.linter.detectors.unopened_regions import unopened_regions
from vc2doctor.linter.model import CodeFinding, Edit
from vc2doctor.linter.read.module import last_name
from vc2doctor.linter.to_bfloat16 import float16_to_bfloat16

_NORM_WORDS = {"ln", "norm", "layernorm"}
"""Words of layers that autocast computes in float32, whatever its dtype is."""


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield regions of models that contradict the region around them or the weights, and the helpers that open them."""
    loops = {loop.function for loop in facts.loops.all}
    inner_regions = [
        region
        for region in facts.autocast.regions
        if region.stage is Stage.TRAINS
        and not region.autocast.is_disabled
        and region.place.function not in loops
        and region.place.function.cls is not None
    ]
    for helper in facts.autocast.helpers.values():
        float16_regions = [region for region in inner_regions if region.helper is helper and region.dtypes == {FLOAT16}]
        if float16_regions and helper.default == {FLOAT16}:
            yield _float16_helper(helper, float16_regions)
    tensors = TensorFacts(facts.code, facts.values, facts.objects, facts.autocast)
    for region in facts.autocast.regions:
        is_off = region.autocast.is_disabled and region.stage is Stage.TRAINS
        is_shown = is_off and _multiplies_half(tensors, region)
        if is_shown or (is_off and _stays_half(region)):
            yield _disabled_without_cast(region, is_shown=is_shown)
    yield from unlifted_regions(facts)
    yield from unopened_regions(facts)
    for region in inner_regions:
        finding = _contradiction(facts, region)
        if finding is not None:
            yield finding


def _stays_half(region: Region) -> bool:
    """Return whether a region without autocast multiplies tensors of its function that nothing takes to float32 first."""
    function = region.place.function
    if function.cls is None or isinstance(function.node, ast.Module):
        return False
    products = [node for body in region.statement.body for node in ast.walk(body) if _is_product(node)]
    if not products:
        return False
    first = products[0]
    inputs = {node.id for node in ast.walk(first) if isinstance(node, ast.Name)} & set(function.parameters())
    before = [
        node
        for node in ast.walk(function.node)
        if (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)) <= (first.lineno, first.end_col_offset or 0)
    ]
    return len(inputs) > 1 and not any(_is_float32(node) for node in (*before, *ast.walk(first)))


def _multiplies_half(tensors: TensorFacts, region: Region) -> bool:
    """Return whether a region without autocast multiplies what its function computed in half precision before it.

    Whoever turns autocast off expects it to be on around the function.
    """
    function = region.place.function
    context = TensorContext(function, Mode.AUTOCAST, {})
    opened = {item.context_expr for item in region.statement.items}
    inside = (place for place in function.module.statements if place.function is function)
    for place in (place for place in inside if opened & set(place.contexts)):
        for product in (node for node in expressions_of(place) if _is_product(node)):
            if any(tensors.of(operand, place, context) is Kind.HALF for operand in _operands(product)):
                return True
    return False


def _operands(product: ast.expr) -> list[ast.expr]:
    if isinstance(product, ast.BinOp):
        return [product.left, product.right]
    if not isinstance(product, ast.Call):
        return []
    receivers = [product.func.value] if isinstance(product.func, ast.Attribute) else []
    return [*receivers, *product.args]


def _is_product(node: ast.AST) -> TypeGuard[ast.expr]:
    is_call = isinstance(node, ast.Call) and last_name(node.func) in ("einsum", "matmul", "bmm")
    return is_call or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult))


def _is_float32(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("float", "float32", "double", "to", "type", "type_as")


def _disabled_without_cast(region: Region, *, is_shown: bool) -> CodeFinding:
    return build.at_node(
        region.place.module,
        _opening(region),
        "VC103",
        Severity.WARNING if is_shown else Severity.NOTE,
        "autocast is off here, and no input is cast to float32: inputs that are half are still multiplied in half precision",
        evidence=("enabled=False only stops casting; tensors keep their dtypes",),
        remedy="Take the inputs to float32 first: x.float().",
        url=build.AMP_URL,
        role="region",
    )


def _contradiction(facts: Facts, region: Region) -> CodeFinding | None:
    module = region.place.module
    entry_points = entry_points_of(facts, region)
    around = tuple(
        f"started by {entry_point.name}: the region around it is {dtype_names(entry_point.dtypes)}"
        for entry_point in entry_points
    )
    if region.dtypes == {FLOAT16}:
        bf16_weights = _bf16_weights(facts, facts.code.unit_of(module), region)
        contradicts = bf16_weights is not None or any(BFLOAT16 in entry_point.dtypes for entry_point in entry_points)
        if region.helper is None and not contradicts:
            return None
        finding = _float16_region(region, around, bf16_weights, contradicts=contradicts)
        return _of_frozen_part(finding) if bf16_weights is None and _holds_frozen_part(facts, region) else finding
    is_in_float16 = bool(entry_points) and all(entry_point.dtypes == {FLOAT16} for entry_point in entry_points)
    return _bfloat16_region(region, around) if region.dtypes == {BFLOAT16} and is_in_float16 else None


def _holds_frozen_part(facts: Facts, region: Region) -> bool:
    """Return whether all that a region calls of its model is frozen, besides norms of what comes out of it."""
    cls = region.place.function.cls
    called = {
        name
        for body in region.statement.body
        for node in ast.walk(body)
        if isinstance(node, ast.Call) and (name := _called_part(node)) is not None
    }
    frozen = called & frozen_attributes(facts, cls) if cls is not None else frozenset()
    return bool(frozen) and all(words(name) & _NORM_WORDS for name in called - frozen)


def _called_part(call: ast.Call) -> str | None:
    match call.func:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id="self"), attr=name)):
            return name
    return None


def _of_frozen_part(finding: CodeFinding) -> CodeFinding:
    """Return the finding about a region that trains nothing: its float16 can overflow, and no gradient is at stake."""
    return finding.model_copy(
        update={
            "severity": Severity.NOTE,
            "message": f"{finding.message}; all that it holds is frozen",
            "evidence": (*finding.evidence, "the class of the model switches the gradients of this part off"),
        }
    )


def _bf16_weights(facts: Facts, unit: Unit, region: Region) -> str | None:
    """Return where weights of the region's model are loaded in bfloat16, or ``None``."""
    cls = region.place.function.cls
    related = facts.code.related_classes(cls) if cls is not None else []
    for load in facts.weights.trained_loads(unit):
        if load.dtypes == {BFLOAT16} and not load.is_inert and load.place.function.cls in related:
            return build.place_of(load.place.module, load.node).location
    return None


def _bfloat16_region(region: Region, around: tuple[str, ...]) -> CodeFinding:
    return build.at_node(
        region.place.module,
        _opening(region),
        "VC103",
        Severity.WARNING,
        "this bfloat16 region is inside a float16 region, so its loss goes through a loss scaler that bfloat16 does not need",
        evidence=around,
        remedy="Make the outer region bfloat16 and turn the scaler off.",
        role="region",
        if_missed="what runs outside of this region computes in float16",
    )


def _float16_region(
    region: Region, around: tuple[str, ...], bf16_weights: str | None, *, contradicts: bool
) -> CodeFinding:
    helper = region.helper
    call = ast.unparse(region.call.node)
    evidence = list(around)
    if helper is not None:
        default = build.place_of(helper.function.module, helper.function.node).location
        evidence.insert(0, f"{call} is float16 by the default at {default}")
    if bf16_weights is not None:
        evidence.append(f"the weights are bfloat16: {bf16_weights}")
    if bf16_weights is not None:
        message = "bfloat16 weights compute in float16 here"
    elif contradicts:
        message = "this float16 region is inside a bfloat16 region"
    else:
        message = f"{call} computes in float16, and the region around it does not change that"
    return build.at_node(
        region.place.module,
        _opening(region),
        "VC103",
        Severity.ERROR if contradicts else Severity.WARNING,
        message,
        evidence=tuple(evidence),
        remedy="Change the helper's default, which covers every call without an argument."
        if helper
        else "Give this region the dtype of the weights.",
        role="region",
        cause="float16",
        if_missed="this region computes in float16; without a scaler one overflow makes every trainable tensor NaN",
        bf16_edits=_edits_of_call(region),
    )


def _edits_of_call(region: Region) -> tuple[Edit, ...]:
    """Return the edits of the call that opens a region. A call without a dtype is fixed at its helper."""
    call = region.call.node
    dtypes = [*(keyword.value for keyword in call.keywords if keyword.arg == "dtype"), *call.args]
    return tuple(edit for dtype in dtypes for edit in float16_to_bfloat16(region.place.module, dtype))


def _opening(region: Region) -> ast.expr:
    """Return the expression that opens the region, so that a finding does not span the whole block."""
    return region.statement.items[0].context_expr


def _float16_helper(helper: Helper, regions: list[Region]) -> CodeFinding:
    function, module = helper.function, helper.function.module
    locations = sorted({build.place_of(region.place.module, region.call.node).location for region in regions})
    plural = "s" if len(regions) > 1 else ""
    return build.at_node(
        module,
        function.node,
        "VC103",
        Severity.WARNING,
        f"{function.name} opens float16 regions by default: {len(regions)} training region{plural} through it",
        evidence=(f"used at {', '.join(locations)}",),
        remedy="Make its default bfloat16, also in the comment beside it. That covers every call without an argument.",
        role="helper",
        cause="float16",
        if_missed="the model computes in float16, whatever the dtypes of the weights and of the outer region are",
        bf16_edits=_edits_of_helper(helper),
    )


def _edits_of_helper(helper: Helper) -> tuple[Edit, ...]:
    """Return the edits of a helper's default and of the comments that name the old dtype."""
    function, module = helper.function, helper.function.module
    default = function.defaults().get(helper.parameter) if helper.parameter else helper.autocast.dtype_argument
    if default is None:
        edits: tuple[Edit, ...] = (change.set_keyword(module, helper.autocast.call.node, "dtype", "torch.bfloat16"),)
    else:
        edits = float16_to_bfloat16(module, default)
    comments = change.replace_in_comments(module.name, function.lines, "float16", "bfloat16")
    return (*edits, comments) if edits else ()
