"""Weights that the Trainer's own ``--fp16`` makes float16, and that are trained: ``dtype=compute_dtype``.

``compute_dtype = torch.float16 if training_args.fp16 else ...`` follows the precision of the Trainer. In bf16 that
costs small updates. In fp16 the Trainer's scaler refuses the gradients of float16 parameters.
"""

import ast
import re
from collections.abc import Collection, Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.frozen import is_frozen_by_its_class
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.analyse.stage import Stage, words
from vc2doctor.linter.analyse.weights import Load
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.module import Call, Function, Module, Place, last_name

_FP16 = re.compile(r"args\w*\.fp16\b")
"""The Trainer's option, as code reads it."""
_TRAINER = re.compile(r"Trainer\w*$")
_COPIES = re.compile(
    r"cast_training_params|\.data\s*=\s*[\w.]+\.(to\(\s*torch\.float32|float\()|upcast|fp32_trainable|master_param"
)
_NOT_TRAINED = frozenset({"ref", "reference", "teacher", "vae", "ema", "reward", "judge", "draft", "frozen"})
_OTHERS_TRAINED = re.compile(r"requires_grad\s*=\s*True|requires_grad_\(\s*(True)?\s*\)|modules_to_save\s*=\s*[^N\s]")
_URL = "https://github.com/pytorch/pytorch/blob/main/torch/amp/grad_scaler.py"


def optional_float16(facts: Facts, known: Collection[tuple[str | None, int | None]]) -> Iterator[CodeFinding]:
    """Yield what is float16 under the fp16 of the Trainer that trains it, one finding for each function (VC109).

    ``known`` are the lines that have a finding.
    """
    found: dict[Function, list[Call]] = {}
    for call in (*_loads(facts), *_casts(facts)):
        is_known = build.span(call.place.module, call.node)[:2] in known
        if not is_known and _may_train_whole(facts, call.place, call):
            found.setdefault(call.place.function, []).append(call)
    for calls in found.values():
        yield _finding(facts, sorted(calls, key=lambda call: call.node.lineno))


def _loads(facts: Facts) -> Iterator[Call]:
    for load in facts.weights.loads:
        call = Call(load.node, load.place) if isinstance(load.node, ast.Call) else None
        is_whole = call is not None and not load.is_inert and call.node.keywords and not _is_quantized(call)
        is_other = load.is_of_copy or _names_other(load) or is_frozen_by_its_class(facts, load)
        if call is not None and is_whole and not is_other and _follows_fp16(load.dtype_expression, load.place):
            yield call


def _casts(facts: Facts) -> Iterator[Call]:
    for cast in facts.weights.casts:
        place, dtype = cast.call.place, cast.dtype_argument
        is_whole = cast.name in ("model", "net") and FLOAT16 in cast.dtypes and not cast.is_of_frozen
        if is_whole and ((dtype is not None and _follows_fp16(dtype, place)) or _is_under_fp16(place)):
            yield cast.call


def _is_quantized(call: Call) -> bool:
    """Return whether a call names a quantization itself, and not through a dictionary that an option fills."""
    names = ("quantization_config", "load_in_4bit", "load_in_8bit")
    named = [keyword.value for keyword in call.node.keywords if keyword.arg in names]
    return any(not isinstance(value, ast.IfExp | ast.Name | ast.Compare) for value in named)


def _names_other(load: Load) -> bool:
    return any(words(name) & _NOT_TRAINED for name in (load.place.function.name, *map(last_name, load.place.targets)))


def _follows_fp16(dtype: ast.expr, place: Place) -> bool:
    """Return whether a dtype is float16 where the Trainer's fp16 is on."""
    values = [(dtype, place)]
    if isinstance(dtype, ast.Name):
        values = [each for scope in place.function.scopes() for each in scope.names.get(dtype.id, [])]
    return any(_is_choice(value, at) for value, at in values)


def _is_choice(value: ast.expr, place: Place) -> bool:
    for node in ast.walk(value):
        if isinstance(node, ast.IfExp) and _FP16.search(ast.unparse(node.test)):
            return _is_float16(node.body) and "not " not in ast.unparse(node.test)
    return _is_float16(value) and _is_under_fp16(place)


def _is_float16(value: ast.expr) -> bool:
    return last_name(value) in ("float16", "half")


def _is_under_fp16(place: Place) -> bool:
    """Return whether the nearest condition around a place is that the Trainer's fp16 is on."""
    if not place.conditions:
        return False
    test, wanted = place.conditions[-1]
    return wanted and _FP16.search(ast.unparse(test)) is not None and "not " not in ast.unparse(test)


def _may_train_whole(facts: Facts, place: Place, call: Call) -> bool:
    """Return whether a Trainer in the same function may train more of a model than adapters on it."""
    module, function = place.module, place.function
    if facts.stages.of(place) is Stage.INFERS or facts.values.is_reached(place) is False:
        return False
    if _COPIES.search(module.source.text) or not _is_trained(facts, module, function):
        return False
    later = [each for each in module.calls_in(function) if each.node.lineno > call.node.lineno]
    adapters = [each for each in later if each.name in ("get_peft_model", "PeftModel")]
    given = any(each.argument("peft_config") is not None for each in later)
    text = "\n".join(module.source.text.splitlines()[call.node.lineno : function.lines[1]])
    if any(_is_shared(each, place) for each in adapters) or given:
        return _OTHERS_TRAINED.search(text) is not None
    return True


def _is_shared(adapter: Call, place: Place) -> bool:
    """Return whether every run that makes the weights adds adapters to them: no other option decides it."""
    own = {ast.unparse(test) for test, _ in place.conditions}
    return all(ast.unparse(test) in own for test, _ in adapter.place.conditions)


def _is_trained(facts: Facts, module: Module, function: Function) -> bool:
    """Return whether the function of a load, or one that calls it in the same file, gives a model to a Trainer."""
    callers = [each.place.function for each in facts.code.callers(function) if each.place.module is module]
    calls = [call for each in (function, *callers) for call in module.calls_in(each)]
    return any(
        _TRAINER.search(call.name) and (call.node.keywords or call.node.args) and "args" in ast.unparse(call.node)
        for call in calls
    )


def _fp16_runs(facts: Facts, module: Module) -> list[Run]:
    """Return the runs whose command gives a program fp16 and no engine, which would keep float32 copies."""
    runs = (run for run in facts.runs.of(facts.code.unit_of(module)) if run.launch is not None)
    return [
        run
        for run in runs
        if module in run.modules
        and run.launch is not None
        and any(setting.value == "fp16" for setting in run.precisions)
        and not {"--deepspeed", "--fsdp"} & set(run.launch.flags)
        and run.launch.launcher not in ("accelerate", "deepspeed")
    ]


def _finding(facts: Facts, calls: list[Call]) -> CodeFinding:
    first, *others = calls
    module = first.place.module
    runs = _fp16_runs(facts, module)
    asked = [f"{run.launch.script}:{run.launch.line} asks for fp16" for run in runs if run.launch is not None]
    choices = (at for call in calls for at in _choice_places(call))
    return build.at_node(
        module,
        first.node,
        "VC109",
        Severity.WARNING if asked else Severity.NOTE,
        "with --fp16 these weights are float16, and what is trained of them may be float16 too: without DeepSpeed the "
        'Trainer\'s scaler raises "Attempting to unscale FP16 gradients"',
        evidence=tuple(asked[:2]) or ("with --bf16 they are trained in bfloat16 without float32 copies",),
        remedy="Load in float32 what is trained; the Trainer's fp16 and bf16 compute under autocast.",
        url=_URL,
        role="weights",
        also=tuple(dict.fromkeys((*choices, *(build.place_of(module, call.node) for call in others)))),
    )


def _choice_places(call: Call) -> Iterator[CodePlace]:
    """Yield where a name that a call gets as its dtype is chosen by the Trainer's fp16."""
    for dtype in (call.argument("torch_dtype"), call.argument("dtype")):
        if isinstance(dtype, ast.Name):
            for value, at in call.place.function.names.get(dtype.id, []):
                if _is_choice(value, at):
                    yield build.place_of(at.module, value)
