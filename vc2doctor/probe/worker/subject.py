"""What is trained: a module, its batches, and how a loss comes of them. One builder a kind of subject."""

import contextlib
from typing import Any, Callable, Dict, List, Optional

from . import device as devices
from . import entry, plants, weights
from . import model as models
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
    model, given, optimizer = entry.call(stack, spec, recipe)

    def loss(one: Any) -> Any:
        with _inner(stack, recipe):
            return entry.loss_of(model, one)

    made = Subject(model, given, loss)
    made.optimizer = optimizer
    return made
