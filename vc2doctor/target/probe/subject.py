"""Builds the subject of the training: a module, its batches, and the function that returns its loss."""

import contextlib
from typing import Any, Callable, Dict, List, Optional

from ..doors import Unavailable
from ..runtime import LoadedCheckpoint, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import axes, checkpoint, devices, language_model, outliers, spares, trained, user_function


class Subject:
    """One freshly built module with its batches, to be trained under one recipe."""

    def __init__(self, module: Any, batches: List[Any], loss: Callable[[Any], Any]) -> None:
        self.module = module
        self.batches = batches
        self.loss = loss
        """Returns the loss of one batch, with its graph."""
        self.peft_model: Optional[Any] = None
        """The model with adapters that is saved and reloaded after training; ``None``: that is not checked."""
        self.optimizer: Optional[Any] = None
        """The user's own optimizer; ``None``: AdamW with the spec's settings."""
        self.first_values: Optional[Dict[str, Any]] = None
        """The first values of the trainable parameters, if the module can be trained again: see ``spares.py``."""

    def trainable_parameters(self) -> Dict[str, Any]:
        """Return the trainable parameters, by name."""
        return {name: p for name, p in self.module.named_parameters() if p.requires_grad}


def build(runtime: Runtime, spec: Spec, recipe: Recipe, *, trains: bool = True) -> Subject:
    """Return the subject of ``spec`` under ``recipe``; a checkpoint gets adapters only if it ``trains``.

    Raises:
        Unavailable: this machine, torch or model cannot be run as ``spec`` says.
        Exception: whatever the target raises, now or when the first subject was built.
    """
    reason = axes.unavailable(runtime, spec, recipe)
    if reason is not None:
        raise Unavailable(reason)
    subject = _build(runtime, spec, recipe, trains=trains)
    if spec.compiled:
        axes.compile_forward(runtime, subject.module)
    return subject


def _build(runtime: Runtime, spec: Spec, recipe: Recipe, *, trains: bool) -> Subject:
    if spec.entry:
        return _user_function(runtime, spec, recipe)
    if runtime.build_failure is not None:
        raise runtime.build_failure
    if runtime.checkpoint is not None:
        return _checkpoint(runtime, runtime.checkpoint, spec, recipe, trains=trains)
    return _BUILDERS[spec.model](runtime, spec, recipe)


def _language(runtime: Runtime, spec: Spec, recipe: Recipe) -> Subject:
    batches = language_model.batches(runtime, spec)
    spare = spares.take(runtime, spec, recipe)
    model = spare.model if spare is not None else _new_language_model(runtime, spec, recipe, batches)

    def loss_of_ids(batch: Any) -> Any:
        with _inner_region(runtime, recipe):
            return model(input_ids=batch.ids, attention_mask=batch.mask, labels=batch.labels).loss

    def loss(batch: Any) -> Any:
        # Gradient checkpointing passes no gradient on if the input of a block requires none.
        embeds = model.get_input_embeddings()(batch.ids).detach().requires_grad_()
        with _inner_region(runtime, recipe):
            return model(inputs_embeds=embeds, attention_mask=batch.mask, labels=batch.labels).loss

    # The embeddings are trained as well, if every weight is: they must not be detached.
    uses_ids = spec.architecture or recipe.trains == "all"
    subject = Subject(model, batches, loss_of_ids if uses_ids else loss)
    subject.peft_model = model if recipe.trains == "adapters" else None
    if spares.suits(spec, recipe):
        subject.first_values = spare.values if spare is not None else spares.first_values(model)
    return subject


def _new_language_model(runtime: Runtime, spec: Spec, recipe: Recipe, batches: List[Any]) -> Any:
    base = language_model.base_model(runtime, spec, "float32")

    def forward(batch: Any) -> Any:
        return base(input_ids=batch.ids, attention_mask=batch.mask)

    outliers.plant(runtime.torch, spec.plant, base, batches, forward)
    model = trained.prepare(runtime, spec, recipe, base)
    if spec.architecture and recipe.trains == "adapters" and hasattr(model, "enable_input_require_grads"):
        # Some architectures need the token ids as well as their embeddings. This is how peft lets gradients pass
        # gradient checkpointing for them.
        model.enable_input_require_grads()
    return model


def _videochat2(runtime: Runtime, spec: Spec, recipe: Recipe) -> Subject:
    from . import videochat2  # noqa: PLC0415 - imports torch; run.py imports it first and reports a failure

    batches = language_model.batches(runtime, spec)
    base = language_model.base_model(runtime, spec, "float32")
    runtime.torch.manual_seed(spec.seed + 1)
    module = videochat2.VideoChat2(spec.shape, base).to(runtime.device)
    outliers.plant(runtime.torch, spec.plant, base, batches, lambda batch: module(batch, contextlib.nullcontext))
    module.mistral_model = trained.prepare(runtime, spec, recipe, base)
    module.train()
    subject = Subject(module, batches, lambda batch: module(batch, lambda: _inner_region(runtime, recipe)))
    subject.peft_model = module.mistral_model if recipe.trains == "adapters" else None
    return subject


def _checkpoint(runtime: Runtime, loaded: LoadedCheckpoint, spec: Spec, recipe: Recipe, *, trains: bool) -> Subject:
    if trains:
        model = checkpoint.trainable_model(runtime, loaded, spec, recipe)
    else:
        model = checkpoint.plain_model(runtime, loaded, recipe.base)

    def loss(batch: Any) -> Any:
        with _inner_region(runtime, recipe):
            return model(input_ids=batch.ids, attention_mask=batch.mask, labels=batch.labels, use_cache=False).loss

    return Subject(model, checkpoint.batches(runtime, loaded, spec), loss)


def _user_function(runtime: Runtime, spec: Spec, recipe: Recipe) -> Subject:
    model, batches, optimizer = user_function.call(runtime, spec, recipe)
    if spec.attention != Spec().attention:
        axes.switch_attention(model, spec.attention)

    def loss(batch: Any) -> Any:
        with _inner_region(runtime, recipe):
            return user_function.loss_of(model, batch)

    subject = Subject(model, batches, loss)
    subject.optimizer = optimizer
    return subject


_BUILDERS = {"language": _language, "videochat2": _videochat2}
"""By the ``subject`` of a profile."""


def _inner_region(runtime: Runtime, recipe: Recipe) -> Any:
    """Return upstream's ``maybe_autocast()``: a region of the recipe's inner dtype, or of its outer one without it."""
    return devices.autocast_region(runtime.torch, runtime.device, recipe.inner or recipe.outer)
