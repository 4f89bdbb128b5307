"""Compiled operations of a project that get half values in a region: their kernels are often for float32 only."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.expressions import expressions_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.float32_casts import mentions_float32
from vc2doctor.linter.analyse.resolve import LIBRARIES
from vc2doctor.linter.analyse.tensor_kinds import Kind, Mode
from vc2doctor.linter.detectors.possible_contexts import PossibleContexts, possible_contexts
from vc2doctor.linter.knowledge.autocast_ops import SETS_OWN_DTYPE
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Class, Place, last_name

_URL = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html#functions-that-need-a-particular-dtype"
_HALF_KERNELS = ("flash", "triton", "xformers", "mamba", "selective_scan", "causal_conv", "apex")
"""Words of extensions that have kernels for half precision."""


def refused_kernels(facts: Facts) -> Iterator[CodeFinding]:
    """Yield a note for each call of a compiled operation without ``custom_fwd`` that half values may reach."""
    contexts = possible_contexts(facts)
    for module in facts.code.files.modules.values():
        if ".apply(" not in module.source.text:
            continue
        for place in module.statements:
            for node in expressions_of(place):
                if isinstance(node, ast.Call) and last_name(node.func) == "apply":
                    yield from _at(contexts, node, place)


def _at(contexts: PossibleContexts, node: ast.Call, place: Place) -> Iterator[CodeFinding]:
    owner = node.func.value if isinstance(node.func, ast.Attribute) else None
    cls = contexts.facts.code.class_named(place.module, owner) if owner is not None else None
    extension = _extension_of(contexts.facts, cls) if cls is not None else None
    if extension is None or any(mentions_float32(argument) for argument in node.args):
        return
    for way in contexts.of(place.function):
        is_in_region = contexts.known.tensors.mode_at(place, way.tensors.mode) is Mode.AUTOCAST
        kinds = [contexts.known.tensors.of(argument, place, way.tensors) for argument in node.args]
        if is_in_region and Kind.HALF in kinds and contexts.is_used(way):
            yield build.at_node(
                place.module,
                node,
                "VC107",
                Severity.NOTE,
                f"{build.code(node.func)} hands half-precision values to {extension}, which raises if its kernel has "
                "no half precision",
                evidence=(way.why, f"{cls.name if cls else ''} has no custom_fwd, and autocast does not know it"),
                remedy="Decorate its forward with @torch.amp.custom_fwd(device_type='cuda', "
                "cast_inputs=torch.float32), and its backward with custom_bwd.",
                url=_URL,
            )
            return


def _extension_of(facts: Facts, cls: Class) -> str | None:
    """Return the compiled function that the forward pass of an autograd function calls; ``None``: there is none."""
    forward = cls.methods.get("forward")
    is_function = any(base.rpartition(".")[2] == "Function" for base in facts.code.base_names(cls))
    if forward is None or not is_function:
        return None
    decorated = any(last_name(getattr(each, "func", each)) in SETS_OWN_DTYPE for each in forward.decorators)
    if decorated or mentions_float32_in(forward.node):
        return None
    for call in cls.module.calls_in(forward):
        root = cls.module.dotted(call.node.func)
        if _is_compiled(facts, call, root):
            return root
    return None


def mentions_float32_in(node: ast.AST) -> bool:
    """Return whether a function takes something to float32 or asks for a dtype."""
    return any(
        (isinstance(each, ast.Attribute) and each.attr in ("float", "float32", "dtype", "half"))
        for each in ast.walk(node)
    )


def _is_compiled(facts: Facts, call: Call, dotted: str) -> bool:
    """Return whether a call goes to a module that the project imports and does not contain."""
    package, _, name = dotted.rpartition(".")
    root = package.partition(".")[0]
    imported = {target.partition(".")[0] for target in call.place.module.imports.values()}
    is_known = root in LIBRARIES or any(word in dotted.lower() for word in _HALF_KERNELS)
    is_here = facts.code.resolve(call.place.module, dotted) is not None
    return (
        bool(package)
        and name.endswith(("forward", "_fwd", "cuda"))
        and root in imported
        and not is_known
        and not is_here
    )
