"""Model types that code adds to transformers, and that later releases have themselves."""

import ast
from collections.abc import Iterator
from functools import lru_cache

from packaging.version import Version

from vc2doctor.linter.analyse.api_use import ModuleContext, Use
from vc2doctor.linter.knowledge.api_table import Existence
from vc2doctor.linter.read.module import Call, Module
from vc2doctor.matrix import load
from vc2doctor.matrix.architectures import Architectures

_REGISTER = ".AutoConfig.register"
_RAISED = frozenset({"ValueError", "Exception", "BaseException"})


def registration_uses(context: ModuleContext) -> Iterator[Use]:
    """Yield the calls ``AutoConfig.register("llava", …)`` that some release refuses, because it has that type itself.

    Source: ``_LazyConfigMapping.register`` in ``transformers/models/auto/configuration_auto.py``: "'llava' is already
    used by a Transformers config, pick another name." With ``exist_ok=True`` it replaces its own type.
    """
    package = context.table.packages.get("transformers")
    for call in context.module.calls if _REGISTER[1:] in context.module.source.text and package is not None else ():
        model_type = _registered(context.module, call)
        first = _architectures().first_release(model_type) if model_type is not None else None
        if package is None or first is None or context.is_guarded(call.place.statement):
            continue
        bits = sum(1 << place for place, version in enumerate(package.versions) if version < Version(first))
        problem = f"has a model type {model_type!r} of its own and raises ValueError"
        label = f"AutoConfig.register({model_type!r})"
        for use in context.use("call", label, Existence("transformers", bits), call.node):
            yield use._replace(problems=((package.everything & ~bits, problem),))


def _registered(module: Module, call: Call) -> str | None:
    """Return the model type that a call registers and that must be new; ``None``: none that can be read."""
    name = module.dotted(call.node.func)
    if not name.startswith("transformers.") or not name.endswith(_REGISTER) or _is_caught(module, call.node):
        return None
    replaces = call.argument("exist_ok", 2)
    model_type = call.argument("model_type", 0)
    may_exist = replaces is not None and not (isinstance(replaces, ast.Constant) and replaces.value is False)
    if may_exist or not isinstance(model_type, ast.Constant) or not isinstance(model_type.value, str):
        return None
    return model_type.value


def _is_caught(module: Module, node: ast.Call) -> bool:
    """Return whether a ``try`` around a call handles what a type that exists raises."""
    return any(
        isinstance(each, ast.Try)
        and any(node is inner for statement in each.body for inner in ast.walk(statement))
        and any(_handles(handler) for handler in each.handlers)
        for each in ast.walk(module.source.tree)
    )


def _handles(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(each, ast.Name) and each.id in _RAISED for each in types)


@lru_cache(maxsize=1)
def _architectures() -> Architectures:
    return load.architectures(load.shipped())
