"""A nested autocast decides another dtype than the region around it or the weights; a helper's default counts.

**Why.** The innermost region wins: an outer bfloat16 has no effect on code inside a float16 helper, and autocast casts
the *weights*, so bfloat16 weights inside a float16 region compute in float16 and overflow at 65504, without an error or
a warning. Without a scaler, which the change to bfloat16 removes, nothing skips the bad step: 10 of 10 trainable tensors
were NaN after the first one (measured; in VideoChat2 itself the joint of text and video raises).

**Bad**

    def maybe_autocast(self, dtype=torch.float16):
        return torch.cuda.amp.autocast(dtype=dtype)

    with self.maybe_autocast():          # float16, whatever is outside
        outputs = self.llm(inputs_embeds=embeds)

**Good**

    def maybe_autocast(self, dtype=torch.bfloat16):
        return torch.cuda.amp.autocast(dtype=dtype)

**Quiet** in `generate` and other inference, for helpers whose default is bfloat16, and for `enabled=False`.

**Silence** a line with `# vc2doctor: ignore[VC103]`.

**Since** torch 1.10; nesting behaves the same in every release measured (1.13 to 2.13).
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.autocast import Helper, Region, dtype_names
from vc2doctor.linter.analyse.entry_points import entries_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.analyse.values import BFLOAT, HALF
from vc2doctor.linter.model import CodeFinding, Edit
from vc2doctor.linter.to_bfloat16 import halves_to_bf16


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find regions of a model, and the helpers that open them, that go against what is around them."""
    loops = {loop.function for loop in facts.loops.all}
    inner = [
        region
        for region in facts.autocast.regions
        if region.stage is Stage.TRAINS
        and not region.autocast.off
        and region.place.function not in loops
        and region.place.function.cls is not None
    ]
    for helper in facts.autocast.helpers.values():
        mine = [region for region in inner if region.helper is helper]
        if mine and helper.default == {HALF} and any(region.dtypes == {HALF} for region in mine):
            yield _helper(helper, mine)
    for region in inner:
        found = _region(facts, region)
        if found is not None:
            yield found


def _bf16_weights(facts: Facts, unit: Unit, region: Region) -> str | None:
    """Return where weights of the region's model are loaded in bfloat16."""
    cls = region.place.function.cls
    family = facts.code.family(cls) if cls is not None else []
    for load in facts.weights.trained_loads(unit):
        if load.dtypes == {BFLOAT} and not load.inert and load.place.function.cls in family:
            return build.place(load.place.module, load.node).location
    return None


def _region(facts: Facts, region: Region) -> CodeFinding | None:
    module = region.place.module
    unit = facts.code.unit_of(module)
    around = entries_of(facts, region)
    weights = _bf16_weights(facts, unit, region)
    told_around = tuple(
        f"started by {entry.name}: the region around it is {dtype_names(entry.dtypes)}" for entry in around
    )
    if region.dtypes == {HALF}:
        against = any(BFLOAT in entry.dtypes for entry in around) or weights is not None
        if region.helper is None and not against:
            return None
        return _half(region, told_around, weights, against=against)
    if region.dtypes == {BFLOAT} and around and all(entry.dtypes == {HALF} for entry in around):
        return build.at(
            module,
            _head(region),
            "VC103",
            Severity.WARNING,
            "a bfloat16 region inside a float16 one: its loss goes through a loss scaler that bfloat16 does not need",
            evidence=told_around,
            remedy="Make the outer region bfloat16 and turn the scaler off.",
            role="region",
            if_missed="what runs outside of this region computes in float16",
        )
    return None


def _half(region: Region, around: tuple[str, ...], weights: str | None, *, against: bool) -> CodeFinding:
    module = region.place.module
    helper = region.helper
    opened = ast.unparse(region.call.node)
    evidence = list(around)
    if helper is not None:
        evidence.insert(
            0,
            f"{opened} is float16 by the default at {build.place(helper.function.module, helper.function.node).location}",
        )
    if weights is not None:
        evidence.append(f"the weights are bfloat16: {weights}")
    message = (
        "a float16 region inside a bfloat16 one"
        if against and weights is None
        else "bfloat16 weights compute in float16 here"
        if against
        else f"{opened} computes in float16, whatever the region around it is"
    )
    return build.at(
        module,
        _head(region),
        "VC103",
        Severity.ERROR if against else Severity.WARNING,
        message,
        evidence=tuple(evidence),
        remedy="Change the helper's default, which covers every call without an argument."
        if helper
        else "Give this region the dtype of the weights.",
        role="region",
        cause="float16",
        if_missed="this region computes in float16; without a scaler one overflow makes every trainable tensor NaN",
        bf16=_edits(region),
    )


def _edits(region: Region) -> tuple[Edit, ...]:
    """Return the edits of the region's own call; one without argument is mended at its helper."""
    given = [keyword.value for keyword in region.call.node.keywords if keyword.arg == "dtype"] + list(
        region.call.node.args
    )
    return tuple(edit for value in given for edit in halves_to_bf16(region.place.module, value))


def _head(region: Region) -> ast.expr:
    """Return the call that opens the region; a finding spans its line, not the whole block."""
    return region.statement.items[0].context_expr


def _helper(helper: Helper, uses: list[Region]) -> CodeFinding:
    function, module = helper.function, helper.function.module
    implicit = [region for region in uses if region.dtypes == {HALF}]
    default = function.defaults().get(helper.parameter) if helper.parameter else helper.autocast.given
    edits = halves_to_bf16(module, default) if default is not None else ()
    if default is None:
        edits = (change.keyword(module, helper.autocast.call.node, "dtype", "torch.bfloat16"),)
    comment = change.comment(module.name, function.lines, "bfloat16", "float16")
    where = sorted({build.place(region.place.module, region.call.node).location for region in implicit})
    return build.at(
        module,
        function.node,
        "VC103",
        Severity.WARNING,
        f"{function.name} opens float16 regions by default: {len(implicit)} training region{'s' if len(implicit) > 1 else ''} through it",
        evidence=(f"used at {', '.join(where)}",),
        remedy="Make its default bfloat16 (and the comment beside it); that covers every call without an argument.",
        role="helper",
        cause="float16",
        if_missed="the model computes in float16 whatever the weights and the outer region are: this is the deciding place",
        bf16=(*edits, comment) if edits else (),
    )
