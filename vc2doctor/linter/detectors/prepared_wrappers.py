"""Optimizers of the project's own classes that accelerate hands back as they are, so that it unscales nothing."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.detectors.half_loops import accelerate_dtypes, is_by_accelerate
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Class

_URL = "https://huggingface.co/docs/accelerate/package_reference/accelerator#accelerate.Accelerator.prepare"


def prepared_wrappers(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield ``accelerator.prepare`` of an object that the loop steps, and that is no optimizer of torch."""
    if not is_by_accelerate(loop):
        return
    stepped = {
        ast.unparse(call.receiver) for call in loop.function.module.calls_in(loop.function) if call.name == "step"
    }
    for prepare in loop.function.module.calls:
        for argument in prepare.node.args if prepare.name == "prepare" else ():
            is_stepped = isinstance(argument, ast.Name) and argument.id in stepped
            cls = facts.objects.class_of(argument, prepare.place) if is_stepped else None
            if cls is not None and _is_wrapper(facts, cls):
                yield _finding(facts, loop, prepare, argument, cls)
                return


def _is_wrapper(facts: Facts, cls: Class) -> bool:
    """Return whether a class has ``step`` and ``zero_grad`` of its own, and inherits from nothing."""
    bases = set(facts.code.base_names(cls)) - {"object"}
    return not bases and {"step", "zero_grad"} <= set(cls.methods)


def _finding(facts: Facts, loop: Loop, prepare: Call, argument: ast.expr, cls: Class) -> CodeFinding:
    in_float16 = FLOAT16 in accelerate_dtypes(facts, loop)
    return build.at_node(
        prepare.place.module,
        prepare.node,
        "VC104",
        Severity.WARNING if in_float16 else Severity.NOTE,
        f"{ast.unparse(argument)} is a {cls.name}, no optimizer of torch: accelerate hands it back as it is, so with "
        "fp16 its gradients stay scaled and no step is skipped",
        evidence=(
            f"defined at {build.place_of(cls.module, cls.node).location}",
            "prepare wraps only modules, optimizers, schedulers and data loaders of torch",
        ),
        remedy="Prepare each optimizer inside of it, and each model.",
        url=_URL,
        role="scaler",
    )
