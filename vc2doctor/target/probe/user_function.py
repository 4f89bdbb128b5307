"""Calls the user's own function (``--entry module:function``) and checks what it returns."""

import difflib
import importlib
import inspect
import sys
from typing import Any, Callable, List

from ..runtime import Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import updates

_WANTED = "It must return (model, batch) or (model, batch, optimizer)."


class EntryError(Exception):
    """The function does not exist, or it returns something that cannot be trained."""


def find(spec: Spec) -> Callable[..., Any]:
    """Return the function of ``spec.entry`` (``module:function``); the current directory is added to ``sys.path``.

    Raises:
        EntryError: the module has no such function. An exception of the module's import is not caught.
    """
    module, _, name = spec.entry.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    imported = importlib.import_module(module)
    function: Any = getattr(imported, name, None)
    if not callable(function):
        similar = difflib.get_close_matches(name, dir(imported), n=1)
        advice = "Did you mean %s?" % similar[0] if similar else "Check the name after the colon."
        raise EntryError("Module %s has no function %s. %s" % (module, name, advice))
    checked: Callable[..., Any] = function
    return checked


def call(runtime: Runtime, spec: Spec, recipe: Recipe) -> Any:
    """Call the function for ``recipe``; return the model, the batches on the device, and the optimizer or ``None``.

    The function gets the base dtype if it requires an argument, or has one named ``dtype``. Otherwise the frozen
    parameters are cast to the recipe's base dtype (all of them, if none is frozen), and the trainable ones stay as the
    function made them.

    Raises:
        EntryError: it returns something else.
    """
    function = find(spec)
    dtype = getattr(runtime.torch, recipe.base)
    runtime.torch.manual_seed(spec.seed)
    takes_dtype = _takes_dtype(function)
    result = function(dtype) if takes_dtype else function()
    if not isinstance(result, (tuple, list)) or len(result) not in (2, 3):
        raise EntryError("%s returned an object of type %s. %s" % (spec.entry, type(result).__name__, _WANTED))
    model, batch, *rest = result
    if not isinstance(model, runtime.torch.nn.Module):
        raise EntryError(
            "%s returned a model of type %s, which is not a torch.nn.Module. %s"
            % (spec.entry, type(model).__name__, _WANTED)
        )
    if not takes_dtype:
        for parameter in updates.frozen_parameters(model):
            parameter.data = parameter.data.to(dtype)
    model.to(runtime.device)
    model.train()
    batches: List[Any] = list(batch) if isinstance(batch, (list, tuple)) else [batch]
    return model, [_on_device(each, runtime.device) for each in batches], rest[0] if rest else None


def loss_of(model: Any, batch: Any) -> Any:
    """Return the loss of ``model`` on ``batch``, as a tensor without dimensions; a dict is passed by keyword.

    Raises:
        EntryError: the model returns no loss, or one of more than one number.
    """
    output = model(**batch) if isinstance(batch, dict) else model(batch)
    loss: Any = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", output)
    if not hasattr(loss, "backward"):
        raise EntryError(
            "The model returned an object of type %s without a loss. Check that the batch holds labels."
            % type(output).__name__
        )
    if loss.numel() != 1:
        raise EntryError("The model returned a loss of shape %s. It must be one number." % (tuple(loss.shape),))
    return loss.reshape(())


def _takes_dtype(function: Callable[..., Any]) -> bool:
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        return False
    first = parameters[0]
    is_positional = first.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return is_positional and (first.default is inspect.Parameter.empty or first.name == "dtype")


def _on_device(value: Any, device: Any) -> Any:
    if isinstance(value, dict):
        return {name: _on_device(part, device) for name, part in value.items()}
    return value.to(device) if hasattr(value, "to") else value
