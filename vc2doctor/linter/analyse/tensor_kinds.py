"""The words for the dtype of a tensor, what decides it, and what torch's layers make of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from vc2doctor.linter.knowledge import autocast_ops as ops
from vc2doctor.linter.read.module import Call, Function

_HALF_ITEMS = ("logit", "sample", "hidden_state", "embed", "pred")
"""Parts of the names under which models return tensors that come from a matrix product or a convolution."""
_ACTIVATIONS = (
    *("ReLU", "GELU", "SiLU", "LeakyReLU", "Dropout", "Sigmoid", "Tanh", "Identity", "ELU", "Hardswish", "Mish"),
    *("BatchNorm", "MaxPool", "AvgPool", "AdaptiveAvgPool", "AdaptiveMaxPool", "Upsample", "Flatten", "PixelShuffle"),
)
"""Beginnings of the names of layers that give the dtype of their input, with and without autocast."""


class Kind(Enum):
    """What the dtype of a tensor is."""

    HALF = "half"
    FLOAT32 = "float32"
    UNKNOWN = "unknown"
    NUMBER = "number"
    """A number of Python: it takes the dtype of the tensor that it is combined with."""
    OUTPUT = "output"
    """What a model returns whose code is not read, in a region or with half weights: a half tensor, or several by
    name. Where an operation takes it as it is, it is one half tensor."""
    CONTAINER = "container"
    """What a model returns whose code does not tell the dtype: only what is called logits is known to be half."""


class Mode(Enum):
    """What decides the dtype of an operation."""

    AUTOCAST = "autocast"
    HALF_MODEL = "half model"
    """The parameters and activations are half precision, and no region takes anything to float32."""
    PLAIN = "plain"
    """Outside of any region, beside a model whose weights are float32: an operation follows its inputs."""


@dataclass(frozen=True, eq=False)
class TensorContext:
    """A function, and how it is run."""

    function: Function
    mode: Mode
    arguments: Mapping[str, Kind]
    """What its parameters are; a parameter that is missing is unknown."""
    calls: int = 0
    """How many calls of functions led here."""
    outputs: frozenset[str] = frozenset()
    """Parameters that hold the outputs of a half-precision model by name: what is called logits comes from a matrix
    product, and is half. Others can have passed through operations that give float32."""

    is_assumed: bool = False
    """Whether its arguments are assumed and not known. A name that is half on one way, and not known on the others,
    is half then."""

    @property
    def key(self) -> tuple[Function, Mode, frozenset[tuple[str, Kind]], frozenset[str], bool]:
        """What two contexts have in common in which every tensor has the same dtype."""
        known = frozenset(pair for pair in self.arguments.items() if pair[1] is not Kind.UNKNOWN)
        return self.function, self.mode, known, self.outputs, self.is_assumed


def as_tensor(kind: Kind) -> Kind:
    """Return the dtype of a value that an operation takes as one tensor."""
    if kind is Kind.OUTPUT:
        return Kind.HALF
    return Kind.UNKNOWN if kind is Kind.CONTAINER else kind


def item_of(kind: Kind, name: str) -> Kind:
    """Return the dtype of what a model returns by a name: ``outputs.logits``, ``outputs["pred_logits"]``."""
    lowered = name.lower()
    if "logit" in lowered and kind in (Kind.OUTPUT, Kind.CONTAINER):
        return Kind.HALF
    if kind is Kind.OUTPUT and any(part in lowered for part in _HALF_ITEMS):
        return Kind.HALF
    return Kind.UNKNOWN


def joined(kinds: Iterable[Kind]) -> Kind:
    """Return the dtype of a value that is one of several."""
    distinct = set(kinds)
    if distinct == {Kind.OUTPUT, Kind.HALF}:
        return Kind.HALF
    return distinct.pop() if len(distinct) == 1 else Kind.UNKNOWN


def widest(kinds: Iterable[Kind]) -> Kind:
    """Return the dtype of an operation that takes its inputs to the widest one."""
    distinct = {as_tensor(kind) for kind in kinds} - {Kind.NUMBER}
    if not distinct:
        return Kind.NUMBER
    if Kind.FLOAT32 in distinct:
        return Kind.FLOAT32
    return Kind.UNKNOWN if Kind.UNKNOWN in distinct else Kind.HALF


def is_torch_layer(call: Call) -> bool:
    """Return whether a call makes a layer of torch: ``nn.Linear(…)``."""
    dotted = call.place.module.dotted(call.node.func)
    return dotted.startswith(("torch.nn.", "nn.")) and dotted.rpartition(".")[2][:1].isupper()


def of_layer(call: Call, mode: Mode, inputs: list[Kind]) -> Kind:
    """Return the dtype that a layer of torch gives."""
    if mode is Mode.HALF_MODEL:
        return Kind.HALF
    name = call.name
    if mode is Mode.AUTOCAST:
        if name.startswith(ops.FLOAT32_LAYERS):
            return Kind.FLOAT32
        if name.startswith(ops.HALF_LAYERS):
            return Kind.HALF
    if name.endswith("Loss"):
        return Kind.FLOAT32 if mode is Mode.AUTOCAST else widest(inputs[:1] or [Kind.UNKNOWN])
    return inputs[0] if name.startswith(_ACTIVATIONS) and inputs else Kind.UNKNOWN
