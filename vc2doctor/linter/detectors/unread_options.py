"""Options about precision that a program declares and that no code reads."""

import ast
import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Module

_OPTIONS = (
    *("fp16", "bf16", "amp", "use_amp", "use_fp16", "use_bf16", "mixed_precision", "precision", "fp16_opt_level"),
    *("opt_level", "loss_scale", "max_grad_norm", "clip_grad", "grad_clip", "clip_grad_norm", "gradient_clip"),
    *("gradient_clipping", "clip_norm", "half", "fp32", "disable_amp", "no_amp", "torch_dtype"),
)
"""Names of options that decide the precision or the clipping of a run."""
PASSES_ALL = re.compile(
    r"\bvars\(|__dict__|\*\*\s*(args|opt)\b|OmegaConf|setattr\(|HfArgumentParser|getattr\((args|opt|self\.args),\s*[a-z]"
)
"""Code that passes every option on without naming it, or reads options by computed names."""


def unread_options(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield the precision options of argparse that nothing in the unit reads."""
    texts = [module.source.text for module in unit.modules]
    others = [data.decode("utf-8", "replace") for name, data in facts.code.files.texts.items() if name.endswith(".py")]
    for call in unit.calls.get("add_argument", []):
        name = _name_of(call)
        if name not in _OPTIONS or is_inference_path(call.place.module.name) or _passes_all(facts, call.place.module):
            continue
        reads = re.compile(rf"\.{name}\b|[\"']{name}[\"']|\b{name}\s*=|\b{name}:")
        count = sum(len(reads.findall(text)) for text in (*texts, *others))
        if count <= sum(len(reads.findall(text)) for text in _declarations(unit, name)):
            yield _unread(unit, call, name)


def _name_of(call: Call) -> str:
    arguments = [getattr(argument, "value", None) for argument in call.node.args]
    flags = [value for value in arguments if isinstance(value, str) and value.startswith("--")]
    destination = getattr(call.argument("dest"), "value", None)
    if isinstance(destination, str):
        return destination
    return flags[0].lstrip("-").replace("-", "_") if flags else ""


def _declarations(unit: Unit, name: str) -> list[str]:
    return [ast.unparse(call.node) for call in unit.calls["add_argument"] if _name_of(call) == name]


def _passes_all(facts: Facts, module: Module) -> bool:
    """Return whether the parser's module, or one that imports it, passes its options on without naming them."""
    unit = facts.code.unit_of(module)
    related = [each for each in unit.modules if module in facts.code.import_closure(each)]
    return any(PASSES_ALL.search(each.source.text) for each in related)


def _unread(unit: Unit, call: Call, name: str) -> CodeFinding:
    given = [launch for launch in unit.launches if f"--{name}" in launch.flags]
    places = tuple(f"{launch.script}:{launch.flags[f'--{name}'].line}" for launch in given[:1])
    return build.at_node(
        call.place.module,
        call.node,
        "VC106",
        Severity.WARNING if given else Severity.NOTE,
        f"--{name} is declared, and no code reads it: the option has no effect"
        + (", although a command gives it" if given else ""),
        evidence=places,
        remedy=f"Pass args.{name} to what it should decide, or remove the option.",
        url="https://docs.python.org/3/library/argparse.html",
        role="config",
    )
