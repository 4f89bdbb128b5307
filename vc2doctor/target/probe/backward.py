"""Measures the gradients of one float32 backward pass: loss scaling has to move them into the range of float16."""

from typing import Any, Dict, List, Optional

from ..runtime import EventSink, Runtime
from ..shared.recipes import CONTROL
from ..shared.spec import Spec
from . import trained, training
from .headroom import layer_of
from .subject import build

MAX_TOKENS = 128
"""Tokens of the one row: a backward pass keeps the activations of each."""
LOWEST_EXPONENT = -149
"""Of the smallest float32 number."""


def run(events: EventSink, runtime: Runtime, spec: Spec) -> None:
    """Emit one ``gradients`` event on the gradients that arrive at the outputs of the modules of a checkpoint.

    ``exponents`` counts the gradients that are not 0 by their power of two: ``{"-20": 7}`` are 7 between 2**-20 and
    2**-19. Emits ``gradients-unmeasured`` with the reason instead, if there is nothing to count.
    """
    if runtime.checkpoint is None:
        return
    if runtime.checkpoint.dtype != "float32":
        reason = "memory holds the checkpoint in %s only, and a backward pass needs float32" % runtime.checkpoint.dtype
        events.emit("gradients-unmeasured", reason=reason)
        return
    recipe = trained.recipe_named(spec, CONTROL)
    subject = build(runtime, spec, recipe, trains=False)
    subject.module.eval()
    batch = subject.batches[0]
    row = type(batch)(*(tensor[:1, :MAX_TOKENS] for tensor in batch))
    gradients = _Gradients(runtime.torch)
    hooks = _watch(subject.module, gradients)
    try:
        training.loss_of(runtime, spec, recipe, subject, row).backward()
    finally:
        for hook in hooks:
            hook.remove()
    if gradients.largest is None:
        events.emit("gradients-unmeasured", reason="every gradient is 0, NaN or infinite")
    else:
        events.emit(
            "gradients",
            tokens=int(row.mask.sum()),
            largest=gradients.largest,
            module=gradients.module,
            layers=gradients.layers,
            exponents={str(exponent): count for exponent, count in sorted(gradients.exponents.items())},
        )


class _Gradients:
    """Collects the sizes of gradients."""

    def __init__(self, torch: Any) -> None:
        self.largest: Optional[float] = None
        self.module = ""
        self.layers: Dict[str, float] = {}
        self.exponents: Dict[int, int] = {}
        self._torch = torch

    def add(self, module: str, gradient: Any) -> None:
        """Count a gradient that arrives at the output of ``module``; one that is not finite is left out."""
        sizes = gradient.detach().abs().float().flatten()
        sizes = sizes[(sizes > 0) & self._torch.isfinite(sizes)]
        if not sizes.numel():
            return
        largest = float(sizes.max())
        layer = layer_of(module)
        self.layers[layer] = max(largest, self.layers.get(layer, 0.0))
        if self.largest is None or largest > self.largest:
            self.largest, self.module = largest, module
        exponents = self._torch.floor(self._torch.log2(sizes)).long() - LOWEST_EXPONENT
        for index, count in enumerate(self._torch.bincount(exponents.clamp(min=0)).tolist()):
            if count:
                exponent = index + LOWEST_EXPONENT
                self.exponents[exponent] = self.exponents.get(exponent, 0) + count


def _watch(module: Any, gradients: _Gradients) -> List[Any]:
    """Return the hooks that pass on the gradients of all modules without parts of their own."""
    embeddings = module.get_input_embeddings()

    def of_embeddings(_module: Any, _inputs: Any, output: Any) -> Any:
        # All weights are frozen. Gradients flow because the input of the first layer requires one.
        return output.requires_grad_(requires_grad=True)

    def follow(name: str) -> Any:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            if hasattr(output, "register_hook") and output.requires_grad:
                output.register_hook(lambda gradient: gradients.add(name, gradient))

        return hook

    hooks = [embeddings.register_forward_hook(of_embeddings)]
    for name, part in module.named_modules():
        if name and not any(part.children()):
            hooks.append(part.register_forward_hook(follow(name)))
    return hooks
