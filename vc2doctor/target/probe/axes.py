"""What the probe varies besides precision: the attention code, and torch.compile."""

import importlib.util
from typing import Any, List, Optional

from ..doors import Unavailable
from ..runtime import Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from ..shared.variants import VARIANTS

CPU_BACKEND = "aot_eager_decomp_partition"
"""The backend elsewhere than on CUDA: it captures and splits the graphs as the default one does, and does not generate
code. The C++ that the default one generates for a CPU takes minutes, and is another code than a GPU's."""


def unavailable(runtime: Runtime, spec: Spec, recipe: Recipe) -> Optional[str]:
    """Return why ``recipe`` cannot be tried here with the attention code or the compilation of ``spec``."""
    variant = VARIANTS.get(spec.attention)
    if variant is not None and variant.package and importlib.util.find_spec(variant.package) is None:
        return "attention %s needs the module %s; it is not installed" % (variant.name, variant.package)
    if variant is not None and variant.needs_half:
        if runtime.device.type != "cuda":
            return "attention %s needs a GPU, and the probe ran on %s" % (variant.name, runtime.device)
        if recipe.computes_in == "float32":
            return "attention %s computes in float16 and bfloat16 only" % variant.name
    if spec.compiled and not hasattr(runtime.torch, "compile"):
        return "torch.compile needs torch 2.0"
    return None


def compile_forward(runtime: Runtime, module: Any) -> None:
    """Let the forward pass of ``module`` run through torch.compile, in place: others hold the same module."""
    backend = "inductor" if runtime.device.type == "cuda" else CPU_BACKEND
    runtime.torch._dynamo.reset()  # noqa: SLF001 - there is no public name before torch.compiler.reset (2.1)
    module.forward = runtime.torch.compile(module.forward, backend=backend)


def switch_attention(model: Any, attention: str) -> None:
    """Switch all parts of the user's own model to the code ``attention``.

    Raises:
        Unavailable: no part of it has such a switch. transformers added it in 4.53.
    """
    switched: List[str] = []
    for name, part in model.named_modules():
        # A part within another one is switched with it, and cannot always be switched by itself.
        is_within = any(name.startswith(outer + ".") or not outer for outer in switched)
        if not is_within and hasattr(part, "set_attn_implementation"):
            part.set_attn_implementation(attention)
            switched.append(name)
    if not switched:
        message = "the model of your function has no switch for the attention code"
        raise Unavailable(message)
