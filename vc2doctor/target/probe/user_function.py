"""Calls the user's own function (``--entry``) and checks what it returns."""

import collections.abc
import difflib
import inspect
import itertools
import os
from typing import Any, Callable, List

from ..runtime import Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec, entry_parts
from . import updates, user_module
from .exceptions import describe, is_of_users_code

MAX_BATCHES = 2
"""Batches taken from a DataLoader. Six steps then see each batch three times, which shows whether its loss falls."""
_WANTED = "It must return (model, batch) or (model, batch, optimizer)."


class EntryError(Exception):
    """The function does not exist, raises an exception of its own, or returns something that cannot be trained."""


def find(spec: Spec) -> Callable[..., Any]:
    """Return the function of ``spec.entry`` (``module:function`` or ``file.py:function``).

    Raises:
        EntryError: the module has no such function, or its own code raises an exception when it is imported.
        BaseException: the import fails in another package, or a package is missing.
    """
    module, name = entry_parts(spec.entry)
    try:
        imported = user_module.load(module)
    except BaseException as error:
        _raise_if_own(error, "The import of %s" % module)
        raise
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
        EntryError: it returns something else, or raises an exception of its own.
        BaseException: it fails in another package.
    """
    function = find(spec)
    dtype = getattr(runtime.torch, recipe.base)
    runtime.torch.manual_seed(spec.seed)
    takes_dtype = _takes_dtype(function)
    try:
        result = function(dtype) if takes_dtype else function()
    except BaseException as error:
        _raise_if_own(error, spec.entry.rpartition(os.sep)[2] + ("(%s)" % dtype if takes_dtype else "()"))
        raise
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
    batches = [_on_device(each, runtime.device) for each in _batches(runtime, spec, batch)]
    return model, batches, rest[0] if rest else None


def _batches(runtime: Runtime, spec: Spec, batch: Any) -> List[Any]:
    """Return the batches of one batch, of a list of batches, or of a DataLoader (the first two).

    Raises:
        EntryError: there is none, or the user's data set raises an exception of its own.
    """
    if isinstance(batch, (list, tuple)):
        batches = list(batch)
    elif _is_batch(runtime, batch):
        return [batch]
    else:
        try:
            batches = list(itertools.islice(batch, MAX_BATCHES))
        except BaseException as error:
            _raise_if_own(error, "The iteration over the batches of %s" % spec.entry)
            raise
    if not batches:
        raise EntryError("%s returned a %s without a batch. %s" % (spec.entry, type(batch).__name__, _WANTED))
    return batches


def _is_batch(runtime: Runtime, value: Any) -> bool:
    """Return whether ``value`` is one batch, and not something that yields batches, such as a DataLoader."""
    is_tensor_or_dict = isinstance(value, (runtime.torch.Tensor, collections.abc.Mapping, str))
    return is_tensor_or_dict or not isinstance(value, collections.abc.Iterable)


def _raise_if_own(error: BaseException, action: str) -> None:
    """Raise an exception of the user's own code again, as an ``EntryError`` that describes it and its place.

    Raises:
        EntryError: ``error`` comes from the user's code, and not from a package that it uses.
    """
    if not is_of_users_code(error):
        return
    facts = describe(error)
    place = " at %s:%s" % (facts["file"], facts["line"]) if facts["file"] else ""
    message = ": " + facts["message"] if facts["message"] else ""
    raise EntryError("%s raised %s%s%s. Fix this in your code." % (action, facts["type"], place, message)) from None


def loss_of(model: Any, batch: Any) -> Any:
    """Return the loss of ``model`` on ``batch``, as a tensor without dimensions.

    A mapping is passed by keyword. A list or a tuple, such as the ``[inputs, targets]`` of a DataLoader, is passed as
    positional arguments.

    Raises:
        EntryError: the model returns no loss, or one of more than one number.
    """
    if isinstance(batch, collections.abc.Mapping):
        output = model(**batch)
    elif isinstance(batch, (list, tuple)) and not hasattr(batch, "_fields"):
        output = model(*batch)
    else:
        output = model(batch)
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
    if isinstance(value, collections.abc.Mapping):
        return {name: _on_device(part, device) for name, part in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [_on_device(part, device) for part in value]
    return value.to(device) if hasattr(value, "to") else value
