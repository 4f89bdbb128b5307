"""Models whose layers are made in half precision by an argument: ``nn.Linear(dim, dim, dtype=cfg.dtype)``."""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.asked import names_engine
from vc2doctor.linter.analyse.autocast import HALF_DTYPES, dtype_names
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lineage import Trained
from vc2doctor.linter.analyse.tensor_kinds import is_torch_layer
from vc2doctor.linter.analyse.trained_classes import classes_of
from vc2doctor.linter.detectors.trained_dtype import keeps_small_updates, kept_at, large_rate
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Class

_WITH_WEIGHTS = ("Linear", "Conv", "Embedding", "LayerNorm", "RMSNorm", "Parameter")
_URL = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html"


def half_constructed(facts: Facts) -> Iterator[CodeFinding]:
    """Yield the layers of trained models that are made in half precision: one finding for each class."""
    reported: set[Class] = set()
    for trained in facts.lineages.trained:
        is_plain = not trained.is_by_trainer and not names_engine(facts, trained.consumer.place.module)
        is_upcast = any(step.name == "float" for step in trained.lineage.steps)
        if not is_plain or is_upcast or trained.lineage.adapter or keeps_small_updates(trained.consumer):
            continue
        for cls in classes_of(facts, trained):
            layers = _half_layers(facts, cls) if cls not in reported else []
            reported.add(cls)
            if layers:
                yield _finding(facts, trained, layers)


def _half_layers(facts: Facts, cls: Class) -> list[Call]:
    """Return the layers that a class makes in half precision, in every run and for certain."""
    constructor = cls.methods.get("__init__")
    layers = []
    for call in cls.module.calls_in(constructor) if constructor is not None else ():
        dtype = call.argument("dtype") if is_torch_layer(call) and call.name.startswith(_WITH_WEIGHTS) else None
        dtypes = facts.values.dtypes(dtype, call.place) if dtype is not None else frozenset()
        if dtypes and dtypes <= HALF_DTYPES and facts.values.is_reached(call.place) is True:
            layers.append(call)
    return layers


def _finding(facts: Facts, trained: Trained, layers: list[Call]) -> CodeFinding:
    first, *others = layers
    dtype, consumer = first.argument("dtype"), trained.consumer
    dtypes = facts.values.dtypes(dtype, first.place) if dtype is not None else frozenset()
    rate = large_rate(facts, [consumer])
    location = build.place_of(consumer.place.module, consumer.node).location
    return build.at_node(
        first.place.module,
        first.node,
        "VC109",
        Severity.WARNING if rate is None else Severity.NOTE,
        f"{build.code(first.node.func)} makes weights in {dtype_names(dtypes)}, and they are trained without float32 "
        "copies: small updates are lost",
        evidence=tuple(filter(None, (f"trained by {consumer.name} at {location}", kept_at(rate)))),
        remedy="Make trained layers in float32, and let autocast compute in half precision.",
        url=_URL,
        role="cast",
        also=tuple(build.place_of(layer.place.module, layer.node) for layer in others),
    )
