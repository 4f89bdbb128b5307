"""What is trained: a module, its batches, and how a loss comes of them. One builder a kind of subject."""

import contextlib
import importlib
import inspect
import sys
from typing import Any, Callable, Dict, List, Optional

from . import device as devices
from . import model as models
from . import plants, weights
from .recipes import Recipe
from .spec import Spec


class Subject:
    """One freshly built thing to train under one recipe."""

    def __init__(self, module: Any, batches: List[Any], loss: Callable[[Any], Any]) -> None:
        self.module = module
        self.batches = batches
        self.loss = loss
        self.language: Optional[Any] = None
        self.optimizer: Optional[Any] = None

    def parameters(self) -> Dict[str, Any]:
        """Return the trainable parameters, by name."""
        return {name: p for name, p in self.module.named_parameters() if p.requires_grad}


def build(stack: Any, spec: Spec, recipe: Recipe, *, trains: bool = True) -> Subject:
    """Return the subject that ``spec`` names, for ``recipe``; one that is not trained needs no adapters."""
    if spec.entry:
        return _entry(stack, spec, recipe)
    if spec.weights:
        return _weights(stack, spec, recipe, trains=trains)
    return _BUILDERS[spec.model](stack, spec, recipe)


def _language(stack: Any, spec: Spec, recipe: Recipe) -> Subject:
    given = models.batches(stack, spec)
    base = models.base_model(stack, spec, "float32")
    plants.plant(stack.torch, spec.plant, base, given, lambda one: base(input_ids=one.ids, attention_mask=one.mask))
    model = models.adapted(stack, spec, base.to(getattr(stack.torch, recipe.base)))

    def loss(batch: Any) -> Any:
        embeds = model.get_input_embeddings()(batch.ids).detach().requires_grad_()
        with _inner(stack, recipe):
            return model(inputs_embeds=embeds, attention_mask=batch.mask, labels=batch.labels).loss

    made = Subject(model, given, loss)
    made.language = model
    return made


def _videochat2(stack: Any, spec: Spec, recipe: Recipe) -> Subject:
    from . import vision  # noqa: PLC0415 - imports torch, which has to be imported under watch first

    given = models.batches(stack, spec)
    base = models.base_model(stack, spec, "float32")
    stack.torch.manual_seed(spec.seed + 1)
    module = vision.VideoChat2(spec.shape, base).to(stack.device)
    plants.plant(stack.torch, spec.plant, base, given, lambda one: module(one, contextlib.nullcontext))
    module.mistral_model = models.adapted(stack, spec, base.to(getattr(stack.torch, recipe.base)))
    module.train()
    made = Subject(module, given, lambda batch: module(batch, lambda: _inner(stack, recipe)))
    made.language = module.mistral_model
    return made


def _weights(stack: Any, spec: Spec, recipe: Recipe, *, trains: bool) -> Subject:
    if trains:
        model = weights.trainable(stack, stack.loaded, spec, recipe)
    else:
        model = weights.ranged(stack, stack.loaded, recipe)

    def loss(batch: Any) -> Any:
        with _inner(stack, recipe):
            return model(input_ids=batch.ids, attention_mask=batch.mask, labels=batch.labels, use_cache=False).loss

    return Subject(model, weights.batches(stack, stack.loaded, spec), loss)


_BUILDERS = {"language": _language, "videochat2": _videochat2}


def _inner(stack: Any, recipe: Recipe) -> Any:
    """Return upstream's ``maybe_autocast()``: a region of the recipe's inner dtype, else of its outer one."""
    return devices.autocast_region(stack.torch, stack.device, recipe.inner or recipe.outer)


def _entry(stack: Any, spec: Spec, recipe: Recipe) -> Subject:
    """Call the user's function, which returns ``(model, batch)`` or ``(model, batch, optimizer)``.

    It may take the base dtype, as an argument that it requires or that it calls ``dtype``. Else frozen parameters are
    cast to the recipe's base dtype (all of them, where none is frozen); trainable ones stay as they were made.
    """
    place, _, name = spec.entry.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    function = getattr(importlib.import_module(place), name)
    dtype = getattr(stack.torch, recipe.base)
    stack.torch.manual_seed(spec.seed)
    takes_dtype = _takes_dtype(function)
    model, batch, *rest = function(dtype) if takes_dtype else function()
    if not takes_dtype:
        _cast_frozen(stack.torch, model, dtype)
    model.to(stack.device)
    model.train()
    given = list(batch) if isinstance(batch, (list, tuple)) else [batch]

    def loss(one: Any) -> Any:
        with _inner(stack, recipe):
            made = model(**one) if isinstance(one, dict) else model(one)
        if isinstance(made, dict):
            return made["loss"]
        return getattr(made, "loss", made)

    moved = [_moved(one, stack.device) for one in given]
    subject = Subject(model, moved, loss)
    subject.optimizer = rest[0] if rest else None
    return subject


def _takes_dtype(function: Callable[..., Any]) -> bool:
    taken = list(inspect.signature(function).parameters.values())[:1]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(
        one.kind in positional and (one.default is inspect.Parameter.empty or one.name == "dtype") for one in taken
    )


def _cast_frozen(torch: Any, model: Any, dtype: Any) -> None:
    parameters = [p for p in model.parameters() if p.is_floating_point()]
    frozen = [p for p in parameters if not p.requires_grad] or parameters
    with torch.no_grad():
        for parameter in frozen:
            parameter.data = parameter.data.to(dtype)


def _moved(value: Any, device: Any) -> Any:
    if isinstance(value, dict):
        return {name: _moved(part, device) for name, part in value.items()}
    return value.to(device) if hasattr(value, "to") else value
