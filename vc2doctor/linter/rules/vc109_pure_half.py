"""Trainable parameters in pure half precision under a plain optimizer.

**What it does.** Reports models that are cast to half precision as a whole and then trained, adapters that take the
dtype of a half-precision base, modules of such a base that peft trains as copies, conversions of weights in place,
`precision="16-true"` and `"bf16-true"` of Lightning, `--torch_dtype bfloat16` of a program that trains all weights, and
layers that an argument makes half (`nn.Linear(d, d, dtype=cfg.dtype)`), `bf16` of axolotl without an adapter, full
training of bfloat16 weights by ms-swift and LLaMA-Factory without DeepSpeed, and evaluations that cast the model under
training to float16. What an option turns on (`if args.fp16: model.half()`) is reported as what that option does.
`torch_dtype="auto"`, and no dtype under transformers 5, is the dtype in which the named model is published; for a name
that says no family it is a note. Where the code does not show that an optimizer gets half weights, and the program
trains with a plain one and keeps no float32 copies, it is a note as well: weights of some runs, adapters that
`add_adapter` makes on a base whose dtype follows accelerate, adapter layers that a loop casts, moving averages of a
half model, updates that are written back into half weights, models that cast themselves, and models of libraries
that are constructed under a half default dtype, and a half dtype that a function's default or a key of a configuration gives
to the construction of a model. Weights that follow the Trainer's own `--fp16`, and are trained as a whole or in part, are
a note, and a warning where a command gives that flag without an engine.

**Why is this bad.** In pure bfloat16 an update smaller than 1/256 of the weight is rounded away: after 10 AdamW steps
at a learning rate of 1e-5, 85 % of the weights had not moved (float32: 0.001 %, measured). In pure float16 AdamW's eps
of 1e-8 becomes 0, the first step gives NaN, and a scaler raises "Attempting to unscale FP16 gradients". DeepSpeed's
bf16 and fp16 keep float32 copies of the weights, so they are safe.

**Example**

    model = model.to(torch.bfloat16)             # or model.half()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)

**Use instead**

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)     # float32 weights
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = model(batch)

**How to fix.** Keep what is trained in float32 and let autocast compute in bfloat16. With peft 0.7.0 to 0.11.1 adapters
have the dtype of the base (measured on the grid): install peft 0.12 or newer, or cast the adapters to float32. The rule
asks the installed or pinned peft. To keep a line, add `# vc2doctor: ignore[VC109]`.

**Quiet.** No finding before adapters are added (only the base is cast), under `no_grad`, for frozen parts, where the
caller sets float32 for what is trained, for lists of float32 copies, in methods that nothing calls, and in branches for
devices other than CUDA.

**References**

* https://github.com/huggingface/peft/releases/tag/v0.12.0
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.asked import names_engine
from vc2doctor.linter.analyse.autocast import HALF_DTYPES
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.on_cuda import is_off_cuda
from vc2doctor.linter.analyse.stage import Stage, is_inference_path, words
from vc2doctor.linter.analyse.weights import Cast, Load
from vc2doctor.linter.detectors.adapters_in_place import adapters_in_place
from vc2doctor.linter.detectors.cast_adapter_layers import cast_adapter_layers, keyed_adapter_layers
from vc2doctor.linter.detectors.cast_adapters import cast_adapters
from vc2doctor.linter.detectors.checkpoint_dtypes import checkpoint_dtypes
from vc2doctor.linter.detectors.default_dtype_models import default_dtype_models
from vc2doctor.linter.detectors.half_by_argument import half_by_argument
from vc2doctor.linter.detectors.half_constructed import half_constructed
from vc2doctor.linter.detectors.half_copies import half_averages, rounded_updates
from vc2doctor.linter.detectors.half_evaluation import half_evaluations
from vc2doctor.linter.detectors.half_layers import half_layers
from vc2doctor.linter.detectors.marked_parts import marked_parts
from vc2doctor.linter.detectors.optional_float16 import optional_float16
from vc2doctor.linter.detectors.possible_half import possible_half
from vc2doctor.linter.detectors.pure_framework_runs import pure_framework_runs
from vc2doctor.linter.detectors.pure_runs import pure_runs
from vc2doctor.linter.detectors.pure_trainer_runs import pure_trainer_runs
from vc2doctor.linter.detectors.rounded_weights import rounded_weights, rounding_calls
from vc2doctor.linter.detectors.self_cast_models import self_cast_models
from vc2doctor.linter.detectors.trained_dtype import BFLOAT16_EFFECT, large_rate, pure_half_models
from vc2doctor.linter.detectors.trained_heads import trained_heads
from vc2doctor.linter.knowledge.optimizers import PLAIN_OPTIMIZERS
from vc2doctor.linter.knowledge.peft_adapters import adapters_follow_base_dtype
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Function, last_name
from vc2doctor.linter.read.syntax import walk

_ADAPTER_CALLS = ("get_peft_model", "prepare_model_for_kbit_training")
_UPCASTS = {"prepare_model_for_kbit_training", "prepare_model_for_int8_training", "float"}
"""Calls that make trainable parameters float32."""
MAX_CALLER_DEPTH = 3
"""Callers of callers that are asked whether a converted part is trained."""


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield parameters that are trained in pure half precision, and those that may be."""
    shown = list(_shown(facts))
    yield from shown
    places = (place for finding in shown for place in finding.places)
    known = frozenset((place.path, place.line) for place in places)
    further = (*possible_half(facts, known), *optional_float16(facts, known))
    yield from further
    yield from half_by_argument(facts, known | {(each.path, each.line) for found in further for each in found.places})


def _shown(facts: Facts) -> Iterator[CodeFinding]:
    """Yield what the code shows to be trained in half precision: whole models, adapters, and converted weights."""
    models = list(pure_half_models(facts))
    yield from models
    yield from checkpoint_dtypes(facts)
    yield from cast_adapters(facts)
    yield from cast_adapter_layers(facts)
    yield from keyed_adapter_layers(facts)
    yield from adapters_in_place(facts)
    yield from default_dtype_models(facts)
    yield from half_layers(facts)
    yield from half_constructed(facts)
    yield from half_evaluations(facts)
    yield from half_averages(facts)
    yield from rounded_updates(facts)
    yield from self_cast_models(facts)
    yield from trained_heads(facts)
    yield from marked_parts(facts)
    yield from pure_runs(facts)
    yield from pure_trainer_runs(facts)
    yield from pure_framework_runs(facts)
    roundings = tuple(rounding_calls(facts))
    yield from (rounded_weights(loop, call) for loop, call in roundings)
    known = {(finding.path, finding.line) for finding in models}
    for cast in facts.weights.casts:
        if _is_trained(cast) and build.span(cast.call.place.module, cast.call.node)[:2] not in known:
            yield _half_model(facts, cast)
    for load in facts.weights.loads:
        if _makes_half_adapters(facts, load):
            yield _half_adapters(facts, load)
    # The place that rounds the weights after each step is the better one to report.
    rounding = {call.name for _, call in roundings}
    for module in facts.code.files.modules.values():
        if not is_inference_path(module.name):
            for function in module.functions:
                if (
                    function.name not in rounding
                    and _halves_weights(function)
                    and not _trains_in_float32(facts, function)
                ):
                    yield _half_converter(function, by_switch=_trains_in_float32(facts, function, by_switch=True))


def _is_trained(cast: Cast) -> bool:
    """Return whether a whole model is cast, and then gets a plain optimizer in the same function."""
    place = cast.call.place
    if cast.stage is Stage.INFERS or cast.is_of_frozen or is_off_cuda(place):
        return False
    if not words(cast.name) & {"model", "net", "network"}:
        return False
    calls = place.module.calls_in(place.function)
    later_names = {call.name for call in calls if call.node.lineno > cast.call.node.lineno}
    # Adapters that are added after the cast are not cast.
    if later_names & set(_ADAPTER_CALLS) or any(_freezes(call.node, cast.name) for call in calls):
        return False
    return bool(later_names & PLAIN_OPTIMIZERS)


def _freezes(call: ast.Call, name: str) -> bool:
    """Return whether a call is ``name.requires_grad_(False)`` or ``name.eval()``."""
    match call:
        case ast.Call(func=ast.Attribute(attr="requires_grad_", value=receiver), args=[ast.Constant(value=False), *_]):
            return last_name(receiver) == name
        case ast.Call(func=ast.Attribute(attr="eval", value=receiver)):
            return last_name(receiver) == name
    return False


def _half_model(facts: Facts, cast: Cast) -> CodeFinding:
    place = cast.call.place
    is_dead = facts.values.is_reached(place) is False
    is_float16 = cast.dtypes == {FLOAT16}
    model = build.code(cast.receiver)
    if is_float16:
        message = (
            f"{model} is cast to float16 as a whole, with its trainable parameters: in float16 AdamW's eps of 1e-8 is 0"
        )
    else:
        message = f"{model} is cast to bfloat16 as a whole: under a plain optimizer 85 % of the weights do not move at a learning rate of 1e-5"
    calls = place.module.calls_in(place.function)
    later = [call for call in calls if call.name in PLAIN_OPTIMIZERS and call.node.lineno > cast.call.node.lineno]
    rate = None if is_float16 else large_rate(facts, later)
    evidence = [ast.unparse(cast.call.node)]
    if "deepspeed" in place.module.source.text:
        evidence.append(
            "it is safe only while DeepSpeed's fp16 or bf16 is on, which keeps float32 copies of the weights"
        )
    if is_dead:
        evidence.append("the configurations do not reach this branch now")
    if rate is not None:
        evidence.append(f"at the learning rate of {rate:g} here most updates are kept, and rounded to 8 bits")
    finding = build.at_node(
        place.module,
        cast.call.node,
        "VC109",
        _severity_of_cast(is_certain_float16=is_float16 and not is_dead, has_large_rate=rate is not None),
        message,
        evidence=tuple(evidence),
        remedy="Keep trainable parameters in float32 and let autocast compute in bfloat16.",
        role="cast",
        cause="float16" if is_float16 and not is_dead else None,
        if_missed="the trainable parameters stay float16, and the first step makes them NaN" if is_float16 else None,
    )
    if place.conditions and BFLOAT16 in cast.dtypes:
        # The `if` that selects bfloat16 is part of the place.
        return finding.model_copy(update={"line": min(finding.line or 1, place.conditions[-1][0].lineno)})
    return finding


def _severity_of_cast(*, is_certain_float16: bool, has_large_rate: bool) -> Severity:
    if is_certain_float16:
        return Severity.ERROR
    return Severity.NOTE if has_large_rate else Severity.WARNING


def _makes_half_adapters(facts: Facts, load: Load) -> bool:
    """Return whether peft adds half-precision adapters to the loaded model, because they get the dtype of the base."""
    place = load.place
    if load.stage is not Stage.TRAINS or load.is_inert or load.quantized or names_engine(facts, place.module):
        return False
    if len(load.dtypes) != 1 or not load.dtypes & HALF_DTYPES:
        return False
    if not adapters_follow_base_dtype(facts.code.version(facts.code.unit_of(place.module), "peft")):
        return False
    names = {call.name for call in place.module.calls if call.place.function.cls is place.function.cls}
    return "get_peft_model" in names and not names & _UPCASTS


def _half_adapters(facts: Facts, load: Load) -> CodeFinding:
    module = load.place.module
    peft = facts.code.version(facts.code.unit_of(module), "peft")
    if load.dtypes == {FLOAT16}:
        severity, dtype = Severity.ERROR, "float16"
        effect = 'a scaler raises "Attempting to unscale FP16 gradients", and without one the first step makes them NaN'
    else:
        severity, dtype = Severity.WARNING, "bfloat16"
        effect = BFLOAT16_EFFECT
    return build.at_node(
        module,
        load.node,
        "VC109",
        severity,
        f"peft {peft} makes adapters {dtype} like the base: {effect}",
        evidence=(
            "measured on the grid: adapters follow the base with peft 0.7.0 to 0.11.1, and are float32 before and after",
        ),
        remedy="Install peft 0.12 or newer, or cast the adapters to float32 after get_peft_model.",
        url="https://github.com/huggingface/peft/releases/tag/v0.12.0",
    )


def _halves_weights(function: Function) -> bool:
    """Return whether a function at module level halves weights in place: ``l.weight.data = l.weight.data.half()``.

    The assignment can be in a function that is nested in it.
    """
    if not function.name or function.outer is None or function.outer.name:
        return False
    for node in walk(function.node):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and last_name(node.value.func) == "half":
            target = ast.unparse(node.targets[0])
            if target.endswith((".weight.data", ".weight")):
                return True
    return False


def _trains_in_float32(facts: Facts, function: Function, depth: int = 0, *, by_switch: bool = False) -> bool:
    """Return whether the converted part is frozen, or kept in float32 where it is trained.

    The function's module or one of its callers must show that. A function that is never called in the project counts as
    safe, too, and so does one whose direct callers are functions that nothing calls. With ``by_switch`` it is enough that callers freeze the part
    unless a switch of the run says otherwise.
    """
    if _is_frozen_in_module(function) or names_engine(facts, function.module):
        return True
    callers = facts.code.callers(function)
    if not callers:
        return depth == 0 or (depth == 1 and function.cls is None and not _may_be_called(facts, function))
    return all(_caller_trains_in_float32(facts, call, depth, by_switch=by_switch) for call in callers)


def _may_be_called(facts: Facts, function: Function) -> bool:
    """Return whether some call by the name of a function is of an object whose class is unknown: it can be this one."""
    calls = (call for unit in facts.code.units.values() for call in unit.calls.get(function.name, ()))
    return any(facts.code.callee(call) is None for call in calls)


def _caller_trains_in_float32(facts: Facts, call: Call, depth: int, *, by_switch: bool) -> bool:
    caller = call.place.function
    if _chooses_float32(caller) or facts.values.is_reached(call.place) is False:
        return True
    if _freezes_parameters(facts, call, by_switch=by_switch) or _runs_without_gradients(caller):
        return True
    if is_inference_path(caller.module.name):
        return False
    if any(
        other.name == "eval" and isinstance(other.place.statement, ast.Return)
        for other in caller.module.calls_in(caller)
    ):
        # `return model.eval()`: the caller builds a frozen part.
        return True
    return (
        depth < MAX_CALLER_DEPTH
        and bool(caller.name)
        and _trains_in_float32(facts, caller, depth + 1, by_switch=by_switch)
    )


def _is_frozen_in_module(function: Function) -> bool:
    """Return whether the module of a function freezes a part without a condition: ``tower.requires_grad_(False)``."""
    return any(
        call.name == "requires_grad_" and not call.place.conditions and ast.unparse(call.node).endswith("(False)")
        for call in function.module.calls
    )


def _freezes_parameters(facts: Facts, call: Call, *, by_switch: bool) -> bool:
    """Return whether the function around a call freezes what the call builds, wherever the call is reached.

    With ``by_switch`` it may freeze under a condition that can hold.
    """
    function = call.place.function
    return any(
        isinstance(place.statement, ast.Assign)
        and isinstance(place.statement.targets[0], ast.Attribute)
        and place.statement.targets[0].attr == "requires_grad"
        and isinstance(place.statement.value, ast.Constant)
        and place.statement.value.value is False
        and (
            all(condition in call.place.conditions for condition in place.conditions)
            or (by_switch and facts.values.is_reached(place) is not False)
        )
        for place in function.module.statements
        if place.function is function
    )


def _runs_without_gradients(function: Function) -> bool:
    """Return whether a method builds a part of a class that computes without gradients: ``@torch.no_grad()``."""
    forward = function.cls.methods.get("forward") if function.cls is not None else None
    return forward is not None and any("no_grad" in ast.unparse(each) for each in forward.decorators)


def _chooses_float32(function: Function) -> bool:
    """Return whether a function sets a precision to float32 under a condition: ``if not freeze: precision = "fp32"``.

    The precision can be an attribute, too: ``self.precision = "fp32"``.
    """
    for place in function.module.statements:
        match place.statement:
            case ast.Assign(targets=[ast.Name() | ast.Attribute() as target], value=ast.Constant(value=value)):
                name = last_name(target)
                is_precision = "precision" in name or "dtype" in name
                if is_precision and value in ("fp32", "float32") and place.conditions and place.function is function:
                    return True
    return False


def _half_converter(function: Function, *, by_switch: bool) -> CodeFinding:
    why = "only a switch of the run freezes them" if by_switch else "no caller asks whether they are trained"
    return build.at_node(
        function.module,
        function.node,
        "VC109",
        Severity.NOTE,
        f"{function.name} makes weights float16 in place, and {why}",
        evidence=("frozen weights may be float16; trained ones become NaN, because AdamW's eps of 1e-8 is 0 there",),
        remedy='Halve only what is frozen: where it is trained, keep precision = "fp32".',
        role="cast",
    )
