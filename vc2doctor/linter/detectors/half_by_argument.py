"""Weights that an argument for the dtype makes half, and that a plain optimizer gets: ``build(..., dtype=dtype)``.

The dtype comes from the default of a function, from an option, or from a key of a configuration
(``policy_dtype: bfloat16``). What the model's constructor does with it is not read, so these findings are notes.
"""

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.asked import asked_of
from vc2doctor.linter.analyse.autocast import HALF_DTYPES, dtype_names
from vc2doctor.linter.analyse.dtypes import Value, as_dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lineage import Trained
from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.detectors.possible_half import (
    COPIES,
    ENGINES,
    NOT_TRAINED,
    is_plain_optimizer,
    is_upcast,
)
from vc2doctor.linter.detectors.trained_dtype import BFLOAT16_EFFECT, gets_adapters_in_place, large_rate
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.module import Call, Module, Place, last_name

_DTYPE_NAME = re.compile(r"^(\w*_)?dtype$")
_OTHER_DTYPES = frozenset(
    {"lora", "compute", "quant", "ref", "reference", "autocast", "mixed", "amp", "storage", "data"}
)
"""Words before ``dtype`` that say it is not that of the weights."""
_CONSTRUCTION = re.compile(r"model|net|from_|load|build|create|get_|make|policy|actor|critic|[A-Z]\w*", re.IGNORECASE)
_URL = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html"


class _Given(NamedTuple):
    """A half dtype that a construction gets."""

    call: Call
    argument: ast.expr
    dtypes: frozenset[Value]
    place: CodePlace
    """Where the dtype is said: a default, a key of a file, or the argument itself."""


def half_by_argument(facts: Facts, known: Collection[tuple[str | None, int | None]]) -> Iterator[CodeFinding]:
    """Yield the optimizers whose model may be made half by an argument (VC109); ``known`` are lines with a finding."""
    for trained in facts.lineages.trained:
        consumer = trained.consumer
        if trained.is_by_trainer or build.span(consumer.place.module, consumer.node)[:2] in known:
            continue
        given = next(_given(facts, trained), None) if _may_train_half(facts, trained) else None
        if given is not None and build.span(given.call.place.module, given.call.node)[:2] not in known:
            yield _finding(trained, given)


@lru_cache(maxsize=2)
def half_by_argument_programs(facts: Facts) -> Mapping[Module, str]:
    """Return the modules whose optimizers may get weights that an argument makes half, each with the place of it."""
    found: dict[Module, str] = {}
    for trained in facts.lineages.trained:
        if not trained.is_by_trainer and _may_train_half(facts, trained):
            for given in _given(facts, trained):
                found.setdefault(trained.consumer.place.module, _at(given.call.place.module, given.call))
                break
    return found


def _may_train_half(facts: Facts, trained: Trained) -> bool:
    """Return whether nothing in the program of an optimizer keeps float32 copies, or trains adapters alone."""
    consumer, lineage = trained.consumer, trained.lineage
    is_plain = is_plain_optimizer(consumer) or "optim" in ast.unparse(consumer.node.func)
    if not is_plain or gets_adapters_in_place(trained) or (lineage.adapter and not lineage.adapter.place.conditions):
        return False
    program = frozenset({consumer.place.module, *(call.place.module for call in lineage.makers)})
    if any(COPIES.search(each.source.text) or ENGINES.search(each.source.text) for each in program):
        return False
    if is_upcast(program) or large_rate(facts, [consumer]) is not None:
        return False
    return not asked_of(facts, trained).has_engine or _has_engine_in_full_dtype(facts, consumer.place.module)


def _has_engine_in_full_dtype(facts: Facts, module: Module) -> bool:
    """Return whether the engine is accelerate's FSDP without mixed precision: it keeps the dtype of the weights."""
    runs = facts.runs.of(facts.code.unit_of(module))
    files = {each.path for run in runs for each in run.of("accelerate")}
    kinds = {path: kind.value for path in files if (kind := facts.runs.entry(path, "distributed_type")) is not None}
    precisions = (facts.runs.entry(path, "mixed_precision") for path in kinds)
    is_full = all(entry is None or entry.value in ("no", False, None) for entry in precisions)
    return bool(kinds) and is_full and set(kinds.values()) == {"FSDP"}


def _given(facts: Facts, trained: Trained) -> Iterator[_Given]:
    """Yield the constructions of a model that get a half dtype, those of the optimizer's own function first."""
    function = trained.consumer.place.function
    named = function.names.get(trained.model.id, []) if isinstance(trained.model, ast.Name) else []
    own = [Call(value, at) for value, at in named if isinstance(value, ast.Call)]
    for call in (*own, *trained.lineage.makers):
        if not _CONSTRUCTION.search(ast.unparse(call.node.func)) or _names_other(call):
            continue
        for name, argument in call.keywords().items():
            if _DTYPE_NAME.match(name) and not words(name) & _OTHER_DTYPES:
                yield from _half(facts, call, argument)


def _names_other(call: Call) -> bool:
    return any(words(last_name(target)) & NOT_TRAINED for target in call.place.targets)


def _half(facts: Facts, call: Call, argument: ast.expr) -> Iterator[_Given]:
    dtypes = facts.values.dtypes(argument, call.place) & HALF_DTYPES
    if dtypes:
        yield _Given(call, argument, dtypes, _said_at(argument, call.place))
    else:
        yield from (_Given(call, argument, frozenset({dtype}), at) for dtype, at in keyed_dtypes(facts, argument, call))


def keyed_dtypes(facts: Facts, argument: ast.expr, call: Call) -> Iterator[tuple[Value, CodePlace]]:
    """Yield the half dtypes that the configurations give to the key which an argument reads, each with its line."""
    key = _key_of(argument, call.place)
    for config in facts.code.unit_of(call.place.module).configs if key else ():
        for entry in config.entries:
            dtype = as_dtype(entry.value) if isinstance(entry.value, str) and entry.last_key == key else None
            if dtype is not None and dtype in HALF_DTYPES:
                yield dtype, CodePlace(path=config.name, line=entry.line, end_line=entry.line)


def _said_at(argument: ast.expr, place: Place) -> CodePlace:
    default = place.function.defaults().get(argument.id) if isinstance(argument, ast.Name) else None
    return build.place_of(place.module, default if default is not None else argument)


def _key_of(argument: ast.expr, place: Place) -> str:
    """Return the key of a configuration that an argument reads: ``policy_dtype`` for ``cfg.model.policy_dtype``."""
    if isinstance(argument, ast.Name):
        values = [value for value, _ in place.function.names.get(argument.id, [])]
        argument = values[0] if len(values) == 1 else argument
    keys = {node.attr for node in ast.walk(argument) if isinstance(node, ast.Attribute)} | {
        node.slice.value
        for node in ast.walk(argument)
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    }
    found = [key for key in keys if _DTYPE_NAME.match(key) and not words(key) & _OTHER_DTYPES]
    return found[0] if len(found) == 1 else ""


def _finding(trained: Trained, given: _Given) -> CodeFinding:
    consumer, module = trained.consumer, given.call.place.module
    adapter, nodes = trained.lineage.adapter, (given.call.node, given.argument)
    condition = f"where {build.code(adapter.place.conditions[-1][0])} adds no adapters" if adapter else ""
    return build.at_node(
        consumer.place.module,
        consumer.node,
        "VC109",
        Severity.NOTE,
        f"these parameters may be {dtype_names(given.dtypes)}, without float32 copies: {BFLOAT16_EFFECT}",
        evidence=tuple(filter(None, (f"{_at(module, given.call)} gets {build.code(given.argument)}", condition))),
        remedy="Make what is trained in float32, and let autocast compute in half precision.",
        url=_URL,
        role="cast",
        also=tuple(dict.fromkeys((*(build.place_of(module, node) for node in nodes), given.place))),
    )


def _at(module: Module, call: Call) -> str:
    return f"{build.code(call.node.func)} at {build.place_of(module, call.node).location}"
