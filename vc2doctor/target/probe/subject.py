"""What is trained: a module, its batches, and how a loss comes of them. One builder a kind of subject."""

import contextlib
from typing import Any, Callable, Dict, List, Optional

from ..runtime import LoadedCheckpoint, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import checkpoint, outliers, user_function
from . import device as devices
from . import language_model as models


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


def build(runtime: Runtime, spec: Spec, recipe: Recipe, *, trains: bool = True) -> Subject:
    """Return the subject that ``spec`` names, for ``recipe``; one that is not trained needs no adapters."""
    if spec.entry:
        return _entry(runtime, spec, recipe)
    if runtime.checkpoint is not None:
        return _checkpoint(runtime, runtime.checkpoint, spec, recipe, trains=trains)
    return _BUILDERS[spec.model](runtime, spec, recipe)


def _language(runtime: Runtime, spec: Spec, recipe: Recipe) -> Subject:
    given = models.batches(runtime, spec)
    base = models.base_model(runtime, spec, "float32")
    outliers.plant(runtime.torch, spec.plant, base, given, lambda one: base(input_ids=one.ids, attention_mask=one.mask))
    model = models.adapted(runtime, spec, base.to(getattr(runtime.torch, recipe.base)))

    def loss(batch: Any) -> Any:
        embeds = model.get_input_embeddings()(batch.ids).detach().requires_grad_()
        with _inner(runtime, recipe):
            return model(inputs_embeds=embeds, attention_mask=batch.mask, labels=batch.labels).loss

    made = Subject(model, given, loss)
    made.language = model
    return made


def _videochat2(runtime: Runtime, spec: Spec, recipe: Recipe) -> Subject:
    from . import videochat2  # noqa: PLC0415 - imports torch, which has to be imported under watch first

    given = models.batches(runtime, spec)
    base = models.base_model(runtime, spec, "float32")
    runtime.torch.manual_seed(spec.seed + 1)
    module = videochat2.VideoChat2(spec.shape, base).to(runtime.device)
    outliers.plant(runtime.torch, spec.plant, base, given, lambda one: module(one, contextlib.nullcontext))
    module.mistral_model = models.adapted(runtime, spec, base.to(getattr(runtime.torch, recipe.base)))
    module.train()
    made = Subject(module, given, lambda batch: module(batch, lambda: _inner(runtime, recipe)))
    made.language = module.mistral_model
    return made


def _checkpoint(runtime: Runtime, loaded: LoadedCheckpoint, spec: Spec, recipe: Recipe, *, trains: bool) -> Subject:
    if trains:
        model = checkpoint.trainable(runtime, loaded, spec, recipe)
    else:
        model = checkpoint.ranged(runtime, loaded, recipe)

    def loss(batch: Any) -> Any:
        with _inner(runtime, recipe):
            return model(input_ids=batch.ids, attention_mask=batch.mask, labels=batch.labels, use_cache=False).loss

    return Subject(model, checkpoint.batches(runtime, loaded, spec), loss)


_BUILDERS = {"language": _language, "videochat2": _videochat2}


def _inner(runtime: Runtime, recipe: Recipe) -> Any:
    """Return upstream's ``maybe_autocast()``: a region of the recipe's inner dtype, else of its outer one."""
    return devices.autocast_region(runtime.torch, runtime.device, recipe.inner or recipe.outer)


def _entry(runtime: Runtime, spec: Spec, recipe: Recipe) -> Subject:
    model, given, optimizer = user_function.call(runtime, spec, recipe)

    def loss(one: Any) -> Any:
        with _inner(runtime, recipe):
            return user_function.loss_of(model, one)

    made = Subject(model, given, loss)
    made.optimizer = optimizer
    return made
