"""The user's own function: what it gives is trained, and what it gives wrong is told in its words."""

import importlib
import inspect
import sys
from typing import Any, Callable

from ..runtime import Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import updates

_WANTED = "it must return (model, batch) or (model, batch, optimizer)"


class EntryError(Exception):
    """The function is not there, or gives something else than it should."""


def find(spec: Spec) -> Callable[..., Any]:
    """Return the function that ``spec.entry`` names, ``module:function``; the current directory is on its path.

    Raises:
        EntryError: the module has no such function. What its import raises goes through.
    """
    place, _, name = spec.entry.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    function: Any = getattr(importlib.import_module(place), name, None)
    if not callable(function):
        raise EntryError("%s: the module %s has no function %s" % (spec.entry, place, name))
    found: Callable[..., Any] = function
    return found


def call(runtime: Runtime, spec: Spec, recipe: Recipe) -> Any:
    """Call the function for ``recipe`` and return model, batches on the device, and optimiser or ``None``.

    It may take the base dtype, as an argument that it requires or that it calls ``dtype``. Else frozen parameters are
    cast to the recipe's base dtype (all of them, where none is frozen); trainable ones stay as they were made.

    Raises:
        EntryError: it returns something else.
    """
    function = find(spec)
    dtype = getattr(runtime.torch, recipe.base)
    runtime.torch.manual_seed(spec.seed)
    takes_dtype = _takes_dtype(function)
    made = function(dtype) if takes_dtype else function()
    if not isinstance(made, (tuple, list)) or len(made) not in (2, 3):
        raise EntryError("%s returned a %s; %s" % (spec.entry, type(made).__name__, _WANTED))
    model, batch, *rest = made
    if not isinstance(model, runtime.torch.nn.Module):
        raise EntryError("%s returned a %s as its model; %s" % (spec.entry, type(model).__name__, _WANTED))
    if not takes_dtype:
        for parameter in updates.frozen(model):
            parameter.data = parameter.data.to(dtype)
    model.to(runtime.device)
    model.train()
    given = list(batch) if isinstance(batch, (list, tuple)) else [batch]
    return model, [_moved(one, runtime.device) for one in given], rest[0] if rest else None


def loss_of(model: Any, batch: Any) -> Any:
    """Return the loss of ``model`` on ``batch``, which is passed by keyword where it is a dict.

    Raises:
        EntryError: what the model returns has no loss, or one of more than one number.
    """
    made = model(**batch) if isinstance(batch, dict) else model(batch)
    loss: Any = made.get("loss") if isinstance(made, dict) else getattr(made, "loss", made)
    if not hasattr(loss, "backward"):
        raise EntryError("the model returned a %s without a loss; does the batch hold labels?" % type(made).__name__)
    if loss.numel() != 1:
        raise EntryError("the model returned a loss of shape %s; it must be one number" % (tuple(loss.shape),))
    return loss.reshape(())


def _takes_dtype(function: Callable[..., Any]) -> bool:
    taken = list(inspect.signature(function).parameters.values())[:1]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(
        one.kind in positional and (one.default is inspect.Parameter.empty or one.name == "dtype") for one in taken
    )


def _moved(value: Any, device: Any) -> Any:
    if isinstance(value, dict):
        return {name: _moved(part, device) for name, part in value.items()}
    return value.to(device) if hasattr(value, "to") else value
