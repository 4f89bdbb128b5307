"""Half-precision values that leave their region, or a cast to float16 inside `forward`.

**What it does.** Reports results of an autocast region that reach float32 layers or a criterion outside of it, also
where the loop has turned autocast off around the criterion, losses on what half-precision weights give in a loop
without a region, and casts to float16 in `forward` or of a trainer's batch that no condition guards. It also reports
half values that reach what takes only float32: linear algebra, quantiles, layers with float32 weights outside of any
region, and, for bfloat16, spectra and `numpy()`. Values are followed through functions, methods and files. It
reports casts of tensors whose result is dropped (`x.float()` as a statement). Notes are about a fixed cast to bfloat16
in `forward`, casts to float16 in a class of Lightning whatever precision its trainer has, and compiled operations
without `custom_fwd` that may get half values.

**Why is this bad.** An autocast region returns float16 or bfloat16. A float32 layer outside of any region then raises
"expected scalar type Float but found Half", unless an outer region happens to be on: the code works with `amp: True`
and fails without it. `enabled=False` around a criterion casts nothing: half inputs give a half loss. A fixed
`x.to(torch.float16)` inside `forward` undoes a change to bfloat16 for that part: there values overflow at 65504,
whatever the rest computes in. torch has no kernels of `linalg.inv`, `svd`, `cholesky` and `quantile` for half
precision, and autocast does not cast their inputs: they raise (measured).

**Example**

    with self.maybe_autocast():
        embeds = self.visual_encoder(image)
    out = self.qformer(embeds)                 # float32 weights, half input

    qkv = qkv.to(dtype=torch.float16)

**Use instead**

    with self.maybe_autocast():
        embeds = self.visual_encoder(image)
        out = self.qformer(embeds)

    qkv = qkv.to(dtype=self.qkv.weight.dtype)

**How to fix.** Move the layer into the region, or cast the value back with `.float()`. Cast to the dtype of the weights
instead of a literal. To keep a line, add `# vc2doctor: ignore[VC107]`.

**Quiet.** No finding where `.float()` or `.to(...)` brings the value back, and where a condition about the dtype guards
the cast.

**References**

* https://docs.pytorch.org/docs/stable/amp.html#autocast-op-reference
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES, Region, WithStatement, dtype_names
from vc2doctor.linter.analyse.config_keys import config_key
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, Dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import (
    Stage,
    is_inference_name,
    is_inference_path,
    is_without_gradients,
    words,
)
from vc2doctor.linter.analyse.uncalled import is_never_applied
from vc2doctor.linter.analyse.weights import Cast
from vc2doctor.linter.detectors.dropped_casts import dropped_casts, fixed_casts
from vc2doctor.linter.detectors.half_losses import half_losses
from vc2doctor.linter.detectors.half_outputs import half_outputs
from vc2doctor.linter.detectors.half_spectra import half_spectra
from vc2doctor.linter.detectors.refused_kernels import refused_kernels
from vc2doctor.linter.detectors.refused_values import refused_values
from vc2doctor.linter.model import CodeFinding, Edit
from vc2doctor.linter.read.config import UNKNOWN
from vc2doctor.linter.read.module import Function, Place, last_name, root_name
from vc2doctor.linter.to_bfloat16 import cast_to_bfloat16, float16_to_bfloat16

_RECORDING = {
    *("add_image", "add_images", "add_video", "add_figure", "add_histogram", "add_scalar", "add_audio"),
    *("update", "append", "extend", "add", "log", "log_dict", "log_metrics", "record", "write", "put", "push", "store"),
}
"""Methods of logs, meters, buffers and lists: they take every dtype."""
_CASTS_BACK = {"float", "to", "type", "type_as", "double"}
"""Methods that bring a half-precision value back to another dtype."""
_KEEPS_HALF = ("float16", "bfloat16", "half", "device")
"""Arguments of ``.to`` with which a value stays in half precision."""
_HALF_CONDITIONS = ("is_autocast_enabled", "is_bf16_supported", "get_device_capability", "fp16", "half", "precision")
"""Words of conditions that hold only for float16, only in a region, or only on GPUs without bfloat16."""
_BLOCKS = ast.With | ast.AsyncWith | ast.If | ast.For | ast.While | ast.Try


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield literal casts to float16 in ``forward``, and half-precision values that leave their autocast region."""
    reported: set[ast.stmt | None] = set()
    for cast in facts.weights.casts:
        statement = cast.call.place.statement
        is_applied = not is_never_applied(facts, cast.call.place.function.cls)
        if _is_unconditional(facts, cast) and is_applied and statement not in reported:
            reported.add(statement)
            yield _unconditional_cast(cast)
        elif is_applied and statement not in reported and _is_unconditional(facts, cast, BFLOAT16):
            reported.add(statement)
            yield _bfloat16_cast(cast)
    for region in facts.autocast.regions:
        is_in_method = region.place.function.cls is not None
        if region.stage is Stage.TRAINS and is_in_method and not region.autocast.is_disabled:
            yield from _leaving_values(facts, region)
    yield from half_losses(facts)
    for loop in facts.loops.all:
        yield from half_outputs(facts, loop)
    yield from half_spectra(facts)
    yield from dropped_casts(facts)
    yield from (
        finding for finding in fixed_casts(facts) if finding.line not in {each.lineno for each in reported if each}
    )
    yield from refused_values(facts)
    yield from refused_kernels(facts)
    for cast in facts.weights.casts:
        statement = cast.call.place.statement
        if statement not in reported and _is_of_batch(facts, cast):
            reported.add(statement)
            yield _half_batch(cast)


def _is_unconditional(facts: Facts, cast: Cast, dtype: Dtype = FLOAT16) -> bool:
    """Return whether ``forward`` casts a tensor to a half precision whatever dtype the run has."""
    place = cast.call.place
    # A frozen encoder runs without gradients inside a forward pass that trains, so no_grad alone is no inference.
    infers = is_inference_path(place.module.name) or (cast.stage is Stage.INFERS and not is_without_gradients(place))
    if infers or cast.dtypes != {dtype} or UNKNOWN in cast.dtypes or cast.is_of_module:
        return False
    if cast.dtype_argument is not None and config_key(cast.dtype_argument) is not None:
        # A dtype of the model's configuration is that of its weights.
        return False
    is_attention_input = "qkv" in ast.unparse(cast.receiver)
    if not _is_in_forward(facts, place.function) or (place.function.cls is None and not is_attention_input):
        return False
    if any(_asks_for_half(condition) for condition, wanted in place.conditions if wanted):
        return False
    if dtype is BFLOAT16 and any("bf" in ast.unparse(condition) for condition, _ in place.conditions):
        return False
    return not _is_chosen_by_expression(cast) and not _is_fallback(cast)


def _is_fallback(cast: Cast) -> bool:
    """Return whether a cast runs only after the same computation has raised: the dtypes did not go together."""
    handlers = (node for node in ast.walk(cast.call.place.function.node) if isinstance(node, ast.ExceptHandler))
    return any(inner is cast.call.node for handler in handlers for inner in ast.walk(handler))


def _is_in_forward(facts: Facts, function: Function) -> bool:
    """Return whether a function is a forward pass, or a method that the forward pass of its own class calls."""
    if any("forward" in words(scope.name) for scope in function.scopes()):
        return True
    callers = {call.place.function for call in facts.code.callers(function)} if function.cls is not None else set()
    is_part = any(caller.cls is function.cls and "forward" in words(caller.name) for caller in callers)
    return is_part and not is_inference_name(function.name)


def _asks_for_half(condition: ast.expr) -> bool:
    """Return whether a condition holds only for float16, or only where the GPU has no bfloat16."""
    text = ast.unparse(condition).lower()
    if any(word in text for word in _HALF_CONDITIONS):
        return True
    return any(
        isinstance(node, ast.Compare)
        and isinstance(node.ops[0], ast.Eq)
        and last_name(node.comparators[0]) in ("float16", "half")
        for node in ast.walk(condition)
    )


def _is_chosen_by_expression(cast: Cast) -> bool:
    """Return whether a conditional expression chooses the cast: ``x.half() if dtype == torch.float16 else x``."""
    statement = cast.call.place.statement
    if isinstance(cast.dtype_argument, ast.IfExp):
        return True
    if statement is None:
        return False
    choices = (node for node in ast.walk(statement) if isinstance(node, ast.IfExp))
    return any(any(node is cast.call.node for node in ast.walk(choice)) for choice in choices)


def _unconditional_cast(cast: Cast) -> CodeFinding:
    module, node, conditions = cast.call.place.module, cast.call.node, cast.call.place.conditions
    dtype = cast.dtype_argument
    finding = build.at_node(
        module,
        node,
        "VC107",
        Severity.NOTE if cast.stage is Stage.INFERS else Severity.WARNING,
        f"{build.code(node)} inside forward makes this part float16, whatever dtype the run has",
        remedy="Cast to the dtype of the weights that the tensor is multiplied with.",
        role="cast",
        cause="float16",
        if_missed="this part still computes in float16 after everything else is bfloat16",
        bf16_edits=(*float16_to_bfloat16(module, dtype), *_edits_of_guard(cast)) if dtype is not None else (),
    )
    # `if x.dtype != torch.float16:` on the line before is part of the cast.
    if conditions and node.lineno - conditions[-1][0].lineno == 1:
        return finding.model_copy(update={"line": conditions[-1][0].lineno})
    return finding


def _bfloat16_cast(cast: Cast) -> CodeFinding:
    return build.at_node(
        cast.call.place.module,
        cast.call.node,
        "VC107",
        Severity.NOTE,
        f"{build.code(cast.call.node)} inside forward makes this part bfloat16, whatever dtype the run has",
        evidence=("float32 or float16 weights behind it raise for bfloat16 values outside of any region",),
        remedy="Cast to the dtype of the weights that the tensor is multiplied with.",
    )


def _is_of_batch(facts: Facts, cast: Cast) -> bool:
    """Return whether a training loop casts its batch to float16 in a program that has an option for bfloat16."""
    place = cast.call.place
    is_literal = cast.dtypes == {FLOAT16} and isinstance(cast.receiver, ast.Name) and not cast.is_of_module
    is_of_loop = place.function in {loop.function for loop in facts.loops.all}
    if not is_literal or not (is_of_loop or _is_of_trainer(facts, place)):
        return False
    if any(_asks_for_half(condition) for condition, _ in place.conditions) or _is_chosen_by_expression(cast):
        return False
    return _has_bfloat16(facts.code.unit_of(place.module))


def _is_of_trainer(facts: Facts, place: Place) -> bool:
    """Return whether a place is in a method of a class that extends transformers' trainer, other than evaluation."""
    cls = place.function.cls
    is_inference = is_without_gradients(place) or is_inference_name(place.function.name)
    return cls is not None and not is_inference and facts.code.extends_trainer(cls)


def _has_bfloat16(unit: Unit) -> bool:
    """Return whether a program of a unit can be asked for bfloat16: by an option, a command or an engine's file."""
    has_option = any(name in unit.arguments for name in ("bf16", "use_bf16", "bfloat16"))
    in_commands = any(launch.turns_on("--bf16") for launch in unit.launches)
    return has_option or in_commands or any(config.get("bf16.enabled") is True for config in unit.configs)


def _half_batch(cast: Cast) -> CodeFinding:
    module = cast.call.place.module
    return build.at_node(
        module,
        cast.call.node,
        "VC107",
        Severity.WARNING,
        f"{build.code(cast.call.node)} makes the batch float16, also in a run that asks for bfloat16",
        evidence=("the program has an option for bfloat16, and nothing asks for it here",),
        remedy="Cast the batch to the dtype of the weights, or by the run's own flag.",
        role="cast",
        cause="float16",
        if_missed="float16 inputs meet bfloat16 weights, which raises",
        bf16_edits=cast_to_bfloat16(cast),
    )


def _edits_of_guard(cast: Cast) -> tuple[Edit, ...]:
    """Return the edits of ``if x.dtype != torch.float16:`` around a cast: the guard has to follow the new dtype."""
    conditions = cast.call.place.conditions
    return float16_to_bfloat16(cast.call.place.module, conditions[-1][0]) if conditions else ()


def _leaving_values(facts: Facts, region: Region) -> Iterator[CodeFinding]:
    """Yield the first call outside of a region that takes a half-precision value from inside."""
    half_names = _assigned_inside(region.statement)
    for place in _statements_after(region) if half_names else ():
        statement = place.statement
        if statement is None:
            continue
        half_names -= _cast_back(statement)
        user = _user_of(facts, half_names, place)
        if user is not None:
            yield _leaving_value(region, *user)
            return
        half_names -= _reassigned(statement)
        if not half_names:
            return


def _statements_after(region: Region) -> Iterator[Place]:
    """Yield the simple statements behind a region, in the same function, context and branch."""
    function, end = region.place.function, region.statement.end_lineno or 0
    for place in function.module.statements:
        statement = place.statement
        if place.function is not function or statement is None or statement.lineno <= end:
            continue
        is_reached_with_region = all(condition in place.conditions for condition in region.place.conditions)
        if not isinstance(statement, _BLOCKS) and place.contexts == region.place.contexts and is_reached_with_region:
            yield place


def _assigned_inside(statement: WithStatement) -> set[str]:
    """Return the names that hold half-precision results of the region: of calls on ``self``, and not cast back."""
    names: set[str] = set()
    for node in ast.walk(statement):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        target = node.targets[0]
        if isinstance(target, ast.Name):
            is_cast_back = last_name(node.value.func) in _CASTS_BACK and not _stays_half(node.value)
            if is_cast_back:
                names.discard(target.id)
            elif _is_call_on_self(node.value):
                names.add(target.id)
    return names


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _stays_half(cast: ast.Call) -> bool:
    return any(last_name(argument) in _KEEPS_HALF for argument in _arguments(cast))


def _is_call_on_self(call: ast.Call) -> bool:
    return (
        isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "self"
        and "autocast" not in call.func.attr
    )


def _cast_back(statement: ast.stmt) -> set[str]:
    """Return the names that an assignment brings back to another dtype: ``x = x.float()``."""
    if not isinstance(statement, ast.Assign):
        return set()
    return {
        root_name(node.func.value)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CASTS_BACK
    }


def _reassigned(statement: ast.stmt) -> set[str]:
    if not isinstance(statement, ast.Assign):
        return set()
    return {target.id for target in statement.targets if isinstance(target, ast.Name)}


def _user_of(facts: Facts, half_names: set[str], place: Place) -> tuple[ast.Call, str] | None:
    """Return the call of a layer of ``self`` that takes a half-precision value as it is, and the name of the value.

    Methods of the class are left out: what they do with the value is not known here.
    """
    cls = place.function.cls
    for node in ast.walk(place.statement) if place.statement is not None else ():
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or root_name(node.func) != "self":
            continue
        if node.func.attr in _RECORDING or "scaler" in words(ast.unparse(node.func)):
            continue
        is_direct = isinstance(node.func.value, ast.Name)
        if cls is not None and is_direct and facts.code.method(cls, node.func.attr) is not None:
            continue
        # What `**` unpacks is a dictionary of results.
        for argument in (*node.args, *(keyword.value for keyword in node.keywords if keyword.arg is not None)):
            if isinstance(argument, ast.Name) and argument.id in half_names:
                return node, argument.id
    return None


def _leaving_value(region: Region, user: ast.Call, name: str) -> CodeFinding:
    module = region.place.module
    dtype = dtype_names(region.dtypes & HALF_DTYPES) or "half"
    finding = build.at_node(
        module,
        user,
        "VC107",
        Severity.WARNING,
        f"{name} is {dtype} when it leaves its region, and {build.code(user.func)} is called outside of any",
        evidence=(
            f"made in the region at {build.place_of(module, region.call.node).location}",
            "it works only while an outer autocast region is on; otherwise the call raises a dtype error",
        ),
        remedy=f"Move the call into the region, or cast the value back: {name}.float().",
        url=build.AMP_EXAMPLES_URL,
    )
    # The finding spans the region, too: either end can be changed.
    _, line, _ = build.span(module, region.statement)
    return finding.model_copy(update={"line": line})
