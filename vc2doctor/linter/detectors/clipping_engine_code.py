"""DeepSpeed settings that code assembles as a dictionary, with a half precision and without a limit for clipping."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES
from vc2doctor.linter.analyse.dtypes import as_dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.detectors.clipping_keys import CLIPPING_KEYS
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.launchers.deepspeed import BLOCKS
from vc2doctor.linter.read.module import Function, Module, Place
from vc2doctor.linter.read.syntax import walk

_URL = "https://www.deepspeed.ai/docs/config-json/#gradient-clipping"
_OWN_KEYS = {"train_batch_size", "train_micro_batch_size_per_gpu", "zero_optimization"}
"""Keys that only DeepSpeed's settings have at the top."""
_LIGHTNING_STRATEGY = "DeepSpeedStrategy("
"""Lightning writes the limit of its trainer into the settings that it hands to DeepSpeed.

https://github.com/Lightning-AI/pytorch-lightning/blob/master/src/lightning/pytorch/strategies/deepspeed.py
"""
_HAS_LIMIT = re.compile(r"^[^#\n]*gradient_clipping", re.MULTILINE)
"""The key of the limit in code, and not only in a comment."""
_ASKS_FOR_LIMIT = (*CLIPPING_KEYS, "TrainingArguments")
"""Names with which a program limits gradients. transformers' trainer limits them by default."""


class _Block(NamedTuple):
    """The block of a half precision in a dictionary of settings."""

    key: ast.expr
    value: ast.Dict
    is_on: bool
    """Whether it is on in every run; else some run can turn it on."""


def engine_code_without_limit(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield dictionaries of DeepSpeed's settings that turn a half precision on and have no ``gradient_clipping``."""
    for module in unit.modules:
        if "deepspeed" not in module.source.text and not any(key in module.source.text for key in _OWN_KEYS):
            continue
        program = _related(facts, unit, module)
        if is_inference_path(module.name) or any(_HAS_LIMIT.search(each.source.text) for each in program):
            continue
        if any(_LIGHTNING_STRATEGY in each.source.text for each in program):
            continue
        for place in module.statements:
            for node in walk(place.statement) if isinstance(place.statement, ast.Assign | ast.Return) else ():
                block = _half_block(facts, node, place) if isinstance(node, ast.Dict) else None
                if (
                    block is not None
                    and facts.values.is_reached(place) is not False
                    and not _is_replaced(facts, place.function)
                ):
                    yield _finding(module, block, program)


def _related(facts: Facts, unit: Unit, module: Module) -> frozenset[Module]:
    """Return what a module imports, and the modules of its unit that import it, with what those import."""
    closures = [facts.code.import_closure(other) for other in unit.modules]
    return facts.code.import_closure(module).union(*(closure for closure in closures if module in closure))


def _is_replaced(facts: Facts, function: Function) -> bool:
    """Return whether nothing calls a function, and its name is that of another function which is called."""
    calls = facts.code.unit_of(function.module).calls.get(function.name, []) if function.name else []
    callees = [facts.code.callee(call) for call in calls]
    return bool(callees) and all(callee is not None and callee is not function for callee in callees)


def _half_block(facts: Facts, settings: ast.Dict, place: Place) -> _Block | None:
    """Return the block of settings for DeepSpeed that turns a half precision on, or ``None``."""
    names = {key.value for key in settings.keys if isinstance(key, ast.Constant)}
    # `**more` can hold the limit.
    if not names & _OWN_KEYS or None in settings.keys:
        return None
    for key, value in zip(settings.keys, settings.values, strict=True):
        if key is None or not isinstance(value, ast.Dict) or not _names_half(facts, key, place):
            continue
        switches = [
            inner
            for name, inner in zip(value.keys, value.values, strict=True)
            if isinstance(name, ast.Constant) and name.value == "enabled"
        ]
        truth = facts.values.truth(switches[0], place) if switches else False
        if truth is not False:
            return _Block(key, value, is_on=truth is True)
    return None


def _names_half(facts: Facts, key: ast.expr, place: Place) -> bool:
    """Return whether a key is that of a precision block, or a name whose value can be one: ``{dtype: {…}}``."""
    if isinstance(key, ast.Constant):
        return key.value in BLOCKS
    return any(as_dtype(value) in HALF_DTYPES for value in facts.values.of(key, place))


def _has_in_code(name: str, module: Module) -> bool:
    """Return whether a name is in the code of a module, and not only in a comment."""
    text = module.source.text
    return name in text and re.search(rf"^[^#\n]*{name}", text, re.MULTILINE) is not None


def _finding(module: Module, block: _Block, program: frozenset[Module]) -> CodeFinding:
    wanted = next((name for name in _ASKS_FOR_LIMIT for each in program if _has_in_code(name, each)), None)
    is_bypassed = wanted is not None and block.is_on
    finding = build.at_node(
        module,
        block.key,
        "VC105",
        Severity.WARNING if is_bypassed else Severity.NOTE,
        "these settings of DeepSpeed have no gradient_clipping: the engine clips nothing, in half precision",
        evidence=(
            *((f"the program has {wanted}, which does not reach the engine",) if wanted is not None else ()),
            "DeepSpeed's own default is 0, which is off",
        ),
        remedy='Add "gradient_clipping" with a positive limit to these settings.',
        url=_URL,
        role="config",
    )
    return finding.model_copy(update={"end_line": block.value.end_lineno})
