"""Backward passes and clipping of Lightning's modules that by-pass the loss scaling of a Trainer in float16."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lightning_files import precisions_in_files
from vc2doctor.linter.detectors.clipping_keys import CLIPPING_CALLS
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Class, Function, Module, last_name

_HOOKS = ("on_after_backward", "on_before_optimizer_step")
_OF_STEP = ("training_step", "optimizer_step", "on_train_batch_start", "on_train_batch_end")
_URL = "https://lightning.ai/docs/pytorch/stable/model/manual_optimization.html"


def unscaled_lightning_backward(facts: Facts) -> Iterator[CodeFinding]:
    """Yield ``loss.backward()`` in a LightningModule that a Trainer runs in float16: it is not scaled (VC104)."""
    for cls, why, is_certain in _modules_in_float16(facts):
        for call in _calls_of(cls):
            is_plain = call.name == "backward" and not call.node.args and isinstance(call.node.func, ast.Attribute)
            if is_plain and _is_run_in_step(cls, call.place.function) and not _is_scaled(call):
                yield _unscaled(call, why, is_certain=is_certain)


def clipping_of_scaled_lightning(facts: Facts) -> Iterator[CodeFinding]:
    """Yield clipping in ``on_after_backward``: Lightning unscales the gradients later (VC104)."""
    for cls, why, is_certain in _modules_in_float16(facts):
        hook = cls.methods.get(_HOOKS[0])
        calls = cls.module.calls_in(hook) if hook is not None else []
        if any(call.name == "unscale_" for call in calls):
            continue
        for call in (each for each in calls if each.name in CLIPPING_CALLS):
            yield build.at_node(
                cls.module,
                call.node,
                "VC105",
                Severity.WARNING if is_certain else Severity.NOTE,
                "on_after_backward clips gradients that still carry the loss scale: Lightning unscales them later",
                evidence=(why, "with a scale of 65536 nearly every gradient is above the limit"),
                remedy="Pass gradient_clip_val to the Trainer, or clip in configure_gradient_clipping.",
                url="https://lightning.ai/docs/pytorch/stable/common/lightning_module.html#configure-gradient-clipping",
            )


def _modules_in_float16(facts: Facts) -> Iterator[tuple[Class, str, bool]]:
    """Yield the modules of Lightning that a trainer runs in float16, a place that says so, and whether all runs do."""
    for module in facts.code.files.modules.values():
        classes = [cls for cls in module.classes.values() if facts.code.is_lightning_module(cls)]
        if classes:
            own, beside = _precisions(facts, module)
            found = own or beside
            places = [place for place, value in found if value == "fp16"]
            for cls in classes if places else ():
                yield cls, f"Lightning computes in it: {places[0]}", bool(own) and len(places) == len(found)


def _precisions(facts: Facts, module: Module) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the precisions of the runs with a module, and those of its folder: a variant that an edit starts."""
    own, beside = list[tuple[str, str]](), list[tuple[str, str]]()
    for run in facts.runs.of(facts.code.unit_of(module)):
        found = [(each.place, str(each.value)) for settings in run.of("lightning") for each in settings.precisions]
        if module in run.modules:
            own.extend(found)
        elif any(_folder(each) == _folder(module) for each in run.modules):
            beside.extend(found)
    beside.extend((each.place, each.value) for each in precisions_in_files(facts, module))
    return own, beside


def _folder(module: Module) -> str:
    return module.name.rpartition("/")[0]


def _calls_of(cls: Class) -> Iterator[Call]:
    for call in cls.module.calls:
        if call.place.function.cls is cls:
            yield call


def _is_run_in_step(cls: Class, function: Function) -> bool:
    """Return whether a method is a step, or one that a step calls through ``self``."""
    names, queue = set[str](), list(_OF_STEP)
    while queue:
        name = queue.pop()
        method = cls.methods.get(name)
        if name not in names and method is not None:
            names.add(name)
            calls = cls.module.calls_in(method)
            queue.extend(last_name(call.node.func) for call in calls if ast.unparse(call.receiver) == "self")
    return function.name in names


def _is_scaled(call: Call) -> bool:
    """Return whether the project scales this loss itself."""
    return "scal" in ast.unparse(call.receiver) or "scaler" in call.place.module.source.text


def _unscaled(call: Call, why: str, *, is_certain: bool) -> CodeFinding:
    return build.at_node(
        call.place.module,
        call.node,
        "VC104",
        Severity.ERROR if is_certain else Severity.NOTE,
        f"{build.code(call.node)} bypasses the loss scaling of Lightning's trainer in float16: small gradients become "
        "zero",
        evidence=(why,),
        remedy="Write self.manual_backward(loss) with automatic_optimization off, or train in bf16-mixed.",
        url=_URL,
        role="scaler",
    )
