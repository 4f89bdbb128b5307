"""Trainable parameters in pure half precision under a plain optimiser.

**Why.** In pure bfloat16 an update smaller than 1/256 of the weight rounds to nothing: after 10 AdamW steps at a
learning rate of 1e-5, 85 % of the weights had not moved (float32: 0.001 %). In pure float16 AdamW's eps of 1e-8 becomes
0, the first step gives NaN, and a scaler raises "Attempting to unscale FP16 gradients". DeepSpeed's bf16 and fp16 keep
float32 masters, so there it is right.

**Bad**

    model = model.to(torch.bfloat16)             # or model.half()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)

**Good**

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)     # float32 weights
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = model(batch)

**Quiet** before adapters are added (only the base is cast), under `no_grad`, for frozen parts, and where the caller sets
float32 for what is trained.

**Silence** a line with `# vc2doctor: ignore[VC109]`.

**Since** every release of torch. With peft 0.7.0 to 0.11.1 adapters have the dtype of the base (measured on the grid), so
that a half base makes half trainables: the rule asks the installed peft, or the pinned one.
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALVES
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage, infers_by_path, words
from vc2doctor.linter.analyse.values import BFLOAT, HALF
from vc2doctor.linter.analyse.weights import Cast, Load
from vc2doctor.linter.knowledge.peft_adapters import follow_the_base
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Function, Place, last_name

_OPTIMISERS = (
    "AdamW",
    "Adam",
    "SGD",
    "create_optimizer",
    "build_optimizer",
    "get_optimizer",
    "configure_optimizers",
    "setup_optimizer",
)
_FURTHEST = 3


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find models that are halved as a whole and then optimised."""
    for cast in facts.weights.casts:
        if _is_trained(cast):
            yield _whole(facts, cast)
    for load in facts.weights.loads:
        if _makes_half_adapters(facts, load):
            yield _adapters(facts, load)
    for module in facts.code.files.modules.values():
        if not infers_by_path(module.name):
            for function in module.functions:
                if _halves_weights(function) and not _spared(facts, function, 0):
                    yield _converter(function)


def _makes_half_adapters(facts: Facts, load: Load) -> bool:
    """Say whether adapters are added to what is loaded in half, by a peft that makes them like the base."""
    place = load.place
    if (
        load.stage is not Stage.TRAINS
        or load.inert
        or load.quantised
        or len(load.dtypes) != 1
        or not load.dtypes & HALVES
    ):
        return False
    if not follow_the_base(facts.code.version(facts.code.unit_of(place.module), "peft")):
        return False
    near = [call for call in place.module.calls if call.place.function.cls is place.function.cls]
    upcast = {"prepare_model_for_kbit_training", "prepare_model_for_int8_training", "float"}
    return any(call.name == "get_peft_model" for call in near) and not any(call.name in upcast for call in near)


def _adapters(facts: Facts, load: Load) -> CodeFinding:
    module = load.place.module
    peft = facts.code.version(facts.code.unit_of(module), "peft")
    half = load.dtypes == {HALF}
    effect = 'a scaler raises "Attempting to unscale FP16 gradients", and without one the first step makes them NaN'
    return build.at(
        module,
        load.node,
        "VC109",
        Severity.ERROR if half else Severity.WARNING,
        f"peft {peft} makes adapters {'float16' if half else 'bfloat16'} like the base: "
        + (effect if half else "85 % of their weights do not move at a learning rate of 1e-5"),
        evidence=(
            "measured on the grid: adapters follow the base with peft 0.7.0 to 0.11.1, and are float32 before and after",
        ),
        remedy="Install peft 0.12 or newer, or cast the adapters to float32 after get_peft_model.",
        url="https://github.com/huggingface/peft/releases/tag/v0.12.0",
    )


def _is_trained(cast: Cast) -> bool:
    place = cast.call.place
    name = words(cast.name)
    if cast.stage is Stage.INFERS or not name & {"model", "net", "network"} or cast.of_frozen:
        return False
    calls = [call for call in place.module.calls if call.place.function is place.function]
    later = [call for call in calls if call.node.lineno > cast.call.node.lineno]
    if any(call.name in ("get_peft_model", "prepare_model_for_kbit_training") for call in later):
        return False
    if any(_freezes(call.node, cast.name) for call in calls):
        return False
    return any(call.name in _OPTIMISERS for call in later)


def _freezes(call: ast.Call, name: str) -> bool:
    if not isinstance(call.func, ast.Attribute) or last_name(call.func.value) != name:
        return False
    off = (
        call.func.attr == "requires_grad_"
        and bool(call.args)
        and isinstance(call.args[0], ast.Constant)
        and call.args[0].value is False
    )
    return off or call.func.attr == "eval"


def _whole(facts: Facts, cast: Cast) -> CodeFinding:
    module = cast.call.place.module
    dead = facts.values.reached(cast.call.place) is False
    pure_half = cast.dtypes == {HALF}
    if pure_half:
        message = f"{build.code(cast.receiver)} is made float16 as a whole, trainable parameters too: AdamW's eps of 1e-8 is 0 there"
        severity = Severity.WARNING if dead else Severity.ERROR
    else:
        message = f"{build.code(cast.receiver)} is made bfloat16 as a whole: under a plain optimiser 85 % of the weights do not move at a learning rate of 1e-5"
        severity = Severity.WARNING
    evidence = [ast.unparse(cast.call.node)]
    if "deepspeed" in module.source.text:
        evidence.append("right only while DeepSpeed's fp16 or bf16 is on, which keeps float32 masters")
    if dead:
        evidence.append("the configurations do not reach this branch now")
    found = build.at(
        module,
        cast.call.node,
        "VC109",
        severity,
        message,
        evidence=tuple(evidence),
        remedy="Keep trainable parameters in float32 and let autocast compute in bfloat16.",
        role="cast",
        cause="float16" if pure_half and not dead else None,
        if_missed="the trainable parameters stay float16, and the first step makes them NaN" if pure_half else None,
    )
    tests = cast.call.place.tests
    nearest = tests[-1][0].lineno if tests and BFLOAT in cast.dtypes else found.line
    return found.model_copy(update={"line": min(found.line or 1, nearest or 1)})


def _halves_weights(function: Function) -> bool:
    """Say whether a function itself, or one inside it, halves weights in place: ``l.weight.data = l.weight.data.half()``."""
    if not function.name or function.outer is None or function.outer.name:
        return False
    for node in ast.walk(function.node):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and last_name(node.value.func) == "half":
            target = ast.unparse(node.targets[0])
            if target.endswith((".weight.data", ".weight")):
                return True
    return False


def _spared(facts: Facts, function: Function, depth: int) -> bool:
    """Say whether some caller sets float32 where it trains, or nobody in the project calls the function."""
    if _is_frozen_beside(function):
        return True
    callers = facts.code.callers(function)
    if not callers:
        return depth == 0
    for call in callers:
        caller = call.place.function
        if any(
            _sets_float32(name, value, place) for name, assigned in caller.names.items() for value, place in assigned
        ):
            return True
        if infers_by_path(caller.module.name):
            continue
        if any(
            each.name == "eval" and each.place.function is caller and isinstance(each.place.statement, ast.Return)
            for each in caller.module.calls
        ):
            return True
        if depth < _FURTHEST and caller.name and _spared(facts, caller, depth + 1):
            return True
    return False


def _is_frozen_beside(function: Function) -> bool:
    """Say whether the function's module freezes a part whatever happens: ``tower.requires_grad_(False)``."""
    calls = (call for call in function.module.calls if call.name == "requires_grad_" and not call.place.tests)
    return any(ast.unparse(call.node).endswith("(False)") for call in calls)


def _sets_float32(name: str, value: ast.expr, place: Place) -> bool:
    """Say whether a name about precision is set to float32 under a condition: ``if not freeze: precision = "fp32"``."""
    about = "precision" in name or "dtype" in name
    return about and bool(place.tests) and isinstance(value, ast.Constant) and value.value in ("fp32", "float32")


def _converter(function: Function) -> CodeFinding:
    return build.at(
        function.module,
        function.node,
        "VC109",
        Severity.WARNING,
        f"{function.name} makes weights float16 in place, and no caller asks whether they are trained",
        evidence=("a frozen part may be halved; a trained one becomes NaN with AdamW's eps of 1e-8",),
        remedy='Halve only what is frozen: where it is trained, keep precision = "fp32".',
        role="cast",
    )
