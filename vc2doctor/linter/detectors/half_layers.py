"""New layers that are made float16 or bfloat16 although they are trained: nothing has pretrained them."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.asked import names_engine
from vc2doctor.linter.analyse.autocast import dtype_names
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage, words
from vc2doctor.linter.analyse.weights import Cast
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import UNKNOWN
from vc2doctor.linter.to_bfloat16 import cast_to_bfloat16

_TRAINED_WORDS = {"proj", "projector", "head", "adapter", "resampler", "connector", "qformer", "classifier"}
_URL = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html"


def half_layers(facts: Facts) -> Iterator[CodeFinding]:
    """Yield casts of new layers to half precision, and casts of trained parts that leave no way to float32."""
    for cast in facts.weights.casts:
        if cast.stage is Stage.INFERS or cast.is_of_frozen or facts.values.is_reached(cast.call.place) is False:
            continue
        if _is_of_new_layer(facts, cast) and not names_engine(facts, cast.call.place.module):
            yield _half_layer(cast)
        elif _has_no_float32(cast):
            yield _without_float32(cast)


def _is_of_new_layer(facts: Facts, cast: Cast) -> bool:
    """Return whether a class casts a layer of its own that it has just constructed: ``self.proj.half()``."""
    place, receiver = cast.call.place, cast.receiver
    cls = place.function.cls
    is_own = isinstance(receiver, ast.Attribute) and ast.unparse(receiver.value) == "self"
    if cls is None or not is_own or place.function.name != "__init__" or UNKNOWN in cast.dtypes:
        return False
    if facts.values.is_reached(place) is not True:
        return False
    if any(base.endswith("PreTrainedModel") for base in facts.code.base_names(cls)):
        # The layers of a pretrained model are loaded after they are made.
        return False
    if _is_frozen(place.function.node, ast.unparse(receiver)):
        return False
    made = list(facts.objects.of(receiver, place).calls())
    return bool(made) and all(_is_layer(call.place.module.dotted(call.node.func)) for call in made)


def _is_layer(dotted: str) -> bool:
    return dotted.startswith(("torch.nn.", "nn.")) and dotted.rpartition(".")[2][:1].isupper()


def _is_frozen(function: ast.AST, name: str) -> bool:
    text = ast.unparse(function)
    return f"{name}.requires_grad_(False)" in text or f"{name}.eval()" in text or f"{name}.parameters()" in text


def _half_layer(cast: Cast) -> CodeFinding:
    return build.at_node(
        cast.call.place.module,
        cast.call.node,
        "VC109",
        Severity.WARNING,
        f"{build.code(cast.receiver)} is a new layer, so it is trained, and it is made {dtype_names(cast.dtypes)}"
        + ("" if cast.call.place.conditions else " whatever the run asks for"),
        evidence=(
            ast.unparse(cast.call.node),
            "a half-precision parameter under a plain optimizer loses small updates",
        ),
        remedy="Keep the layer in float32, and let autocast compute in half precision.",
        url=_URL,
        role="cast",
        cause="float16" if "float16" in dtype_names(cast.dtypes).split(" or ") else None,
        if_missed="this layer stays float16 beside a bfloat16 model",
        bf16_edits=cast_to_bfloat16(cast),
    )


def _has_no_float32(cast: Cast) -> bool:
    """Return whether a trained part is cast to ``bfloat16 if flag else float16``: a float32 run makes it float16."""
    is_choice = isinstance(cast.dtype_argument, ast.IfExp) and "float32" not in ast.unparse(cast.dtype_argument)
    return is_choice and bool(words(cast.name) & _TRAINED_WORDS)


def _without_float32(cast: Cast) -> CodeFinding:
    return build.at_node(
        cast.call.place.module,
        cast.call.node,
        "VC109",
        Severity.NOTE,
        f"{build.code(cast.receiver)} is float16 in every run without the bfloat16 flag, also in a float32 run",
        evidence=(build.code(cast.dtype_argument) if cast.dtype_argument is not None else "",),
        remedy="Keep trained parts in float32, or give float32 where neither flag is on.",
        url=_URL,
        role="cast",
    )
