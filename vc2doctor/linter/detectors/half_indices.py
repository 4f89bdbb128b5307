"""Integers that are cast to half precision: token ids, positions and counts lose their last digits."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES, dtype_names
from vc2doctor.linter.analyse.dtype_choices import choice_of
from vc2doctor.linter.analyse.dtypes import BFLOAT16, Value
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage, words
from vc2doctor.linter.analyse.weights import Cast
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Place, last_name

_INDICES = {"ids", "positions", "indices", "idx", "timesteps"}
"""Last words of names that hold integers."""
_OTHER_IDS = {"embed", "time", "image", "img", "txt"}
"""Words of names that hold other things: embeddings of ids, the sizes (``add_time_ids``) that SDXL is given, and the
rows and columns of patches (``latent_image_ids``) that FLUX is given, which are below 256 up to 4096 pixels.

Their own pipelines give them in the dtype of the model:
https://github.com/huggingface/diffusers/blob/main/src/diffusers/pipelines/stable_diffusion_xl/pipeline_stable_diffusion_xl.py
https://github.com/huggingface/diffusers/blob/main/src/diffusers/pipelines/flux/pipeline_flux.py
"""
_TOKENS = {"input", "token", "tokens"}
"""Words of the names of ids that an embedding gets."""
_URL = "https://docs.pytorch.org/docs/stable/type_info.html#torch.torch.finfo"


def half_indices(facts: Facts) -> Iterator[CodeFinding]:
    """Yield casts of ids, positions and time steps to half precision, and ranges that are made in it."""
    known = {cast.call.node for cast in facts.weights.casts}
    for cast in facts.weights.casts:
        name = _name_of(cast)
        # Without a dtype, `.to` leaves the integers as they are.
        dtypes = cast.dtypes - {None}
        if _is_index(name) and dtypes <= HALF_DTYPES and cast.stage is not Stage.INFERS:
            yield _finding(cast.call.place, cast.call.node, name, dtypes)
    for unit in facts.code.units.values():
        for call in unit.calls.get("to", []):
            if call.node not in known:
                yield from _cast_by_option(facts, call)
        for call in unit.calls.get("arange", []):
            dtype = call.argument("dtype")
            dtypes = facts.values.dtypes(dtype, call.place) if dtype is not None else frozenset()
            if dtypes and dtypes <= HALF_DTYPES and facts.stages.of(call.place) is not Stage.INFERS:
                yield _finding(call.place, call.node, "this range", dtypes)


def _cast_by_option(facts: Facts, call: Call) -> Iterator[CodeFinding]:
    """Yield a cast of ids to a dtype that an option can make half: ``input_ids.to(device, dtype=cast_dtype)``."""
    if not isinstance(call.node.func, ast.Attribute) or facts.stages.of(call.place) is Stage.INFERS:
        return
    name = _name_of(Cast(call, call.node.func.value, None, frozenset(), Stage.UNKNOWN))
    arguments = (call.argument("dtype"), *call.node.args) if _is_index(name) else ()
    for argument in arguments:
        choice = choice_of(facts, argument, call.place) if argument is not None else None
        half: frozenset[Value] = (choice.dtypes if choice is not None else frozenset()) & HALF_DTYPES
        if choice is not None and half:
            yield _finding(call.place, call.node, name, half, by=f" (chosen by --{choice.option})")


def _is_index(name: str) -> bool:
    return name.rpartition("_")[2].lower() in _INDICES and not words(name) & _OTHER_IDS


def _name_of(cast: Cast) -> str:
    """Return the name of the value that is cast; for an element of a batch, the name that the result is assigned to."""
    statement = cast.call.place.statement
    if isinstance(cast.receiver, ast.Subscript) and isinstance(statement, ast.Assign):
        return last_name(statement.targets[0]) if statement.value is cast.call.node else cast.name
    return cast.name


def _finding(place: Place, node: ast.AST, name: str, dtypes: frozenset[Value], by: str = "") -> CodeFinding:
    limit = 256 if BFLOAT16 in dtypes else 2048
    return build.at_node(
        place.module,
        node,
        "VC110",
        Severity.WARNING,
        f"{name} holds integers, and {dtype_names(dtypes)}{by} has gaps between them above {limit}",
        evidence=(
            f"{dtype_names(frozenset(dtypes))}: {limit + 1} is rounded to {limit}",
            *(("an embedding refuses indices that are not integers",) if words(name) & _TOKENS else ()),
        ),
        remedy="Keep integers in torch.long, and compute positions and time steps in float32.",
        url=_URL,
        role="cast",
    )
