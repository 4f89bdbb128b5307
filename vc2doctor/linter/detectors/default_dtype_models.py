"""Models of libraries that are constructed while torch's default dtype is a half precision, and then trained.

Models of the project's own classes are found through their constructions: ``weight_causes``, and VC101 for float16.
"""

import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES, dtype_names
from vc2doctor.linter.analyse.dtypes import Value
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lineage import Trained
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.detectors.trained_dtype import keeps_small_updates, large_rate
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call

_ENGINES = re.compile(r"^[^#\n]*(deepspeed|accelerat)", re.MULTILINE | re.IGNORECASE)
"""Engines that keep float32 copies. FSDP of torch shards parameters in the dtype that they have."""
_SETTER = "set_default_dtype"
_URL = "https://docs.pytorch.org/docs/stable/generated/torch.set_default_dtype.html"


def default_dtype_models(facts: Facts) -> Iterator[CodeFinding]:
    """Yield the setters of a half default dtype under which a trained model of a library is constructed (VC109)."""
    reported: set[object] = set()
    for trained in facts.lineages.trained:
        if trained.is_by_trainer or keeps_small_updates(trained.consumer) or trained.lineage.adapter is not None:
            continue
        is_cast = any(step.name in ("float", "half", "bfloat16", "double") for step in trained.lineage.steps)
        if is_cast or "set_default_dtype" not in trained.consumer.place.module.source.text:
            continue
        for maker in trained.lineage.makers:
            setter, dtypes = _default_at(facts, maker)
            has_engine = _ENGINES.search(maker.place.module.source.text) is not None
            if setter is not None and setter.node not in reported and not has_engine:
                reported.add(setter.node)
                yield _finding(facts, trained, maker, setter, dtypes)


def _default_at(facts: Facts, maker: Call) -> tuple[Call | None, frozenset[Value]]:
    """Return the setter whose half dtype is the default where a library's model is constructed, and the dtype."""
    module, function = maker.place.module, maker.place.function
    is_own = facts.code.callee(maker) is not None or facts.code.class_named(module, maker.node.func) is not None
    if is_own or maker.name == "from_pretrained":
        return None, frozenset()
    setters = [
        call
        for call in module.calls_in(function)
        if call.name == _SETTER and call.node.args and call.node.lineno < maker.node.lineno
    ]
    last = max(setters, key=lambda call: call.node.lineno, default=None)
    if last is None or facts.stages.of(last.place) is Stage.INFERS or facts.values.is_reached(last.place) is False:
        return None, frozenset()
    dtypes = facts.values.dtypes(last.node.args[0], last.place)
    return (last, dtypes) if dtypes and dtypes <= HALF_DTYPES else (None, frozenset())


def _finding(facts: Facts, trained: Trained, maker: Call, setter: Call, dtypes: frozenset[Value]) -> CodeFinding:
    consumer = trained.consumer
    rate = large_rate(facts, [consumer])
    place = build.place_of(consumer.place.module, consumer.node)
    return build.at_node(
        setter.place.module,
        setter.node,
        "VC109",
        Severity.NOTE,
        f"{build.code(maker.node.func)} may be constructed in {dtype_names(dtypes)}, the default dtype here, and "
        "trained without float32 copies: small updates are lost",
        evidence=(
            f"constructed at {build.place_of(maker.place.module, maker.node).location}",
            f"trained by {consumer.name} at {place.location}" + (f", at a learning rate of {rate:g}" if rate else ""),
        ),
        remedy="Construct what is trained in float32, and let autocast or FSDP's MixedPrecision compute in bfloat16.",
        url=_URL,
        role="cast",
        also=(place,),
    )
