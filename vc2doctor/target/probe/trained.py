"""Prepares a base model as a recipe trains it: with adapters or every weight, and stored in a dtype or in 4 bits."""

import importlib.util
import tempfile
import traceback
from typing import Any, Optional

from ..doors import Unavailable
from ..runtime import Runtime
from ..shared.recipes import RECIPES, Recipe
from ..shared.spec import Spec
from .language_model import with_adapters

_STOCHASTIC = ("torchao", "torchao 0.7 or newer, whose AdamW rounds to bfloat16 at random")
_FOUR_BITS = ("bitsandbytes", "bitsandbytes, which stores the base in 4 bits")
_ADAPTERS = ("peft", "peft, which adds the adapters to a base in 4 bits")


def recipe_named(spec: Spec, name: str) -> Recipe:
    """Return the recipe ``name``, as ``spec`` has it trained: without adapters, every weight that is not in 4 bits."""
    recipe = RECIPES[name]
    return recipe if spec.adapters or recipe.quantized else recipe._replace(trains="all")


def missing_package(recipe: Recipe) -> Optional[str]:
    """Return why ``recipe`` cannot run in this environment: a package that it needs is not installed."""
    needed = [_FOUR_BITS, _ADAPTERS] if recipe.quantized else []
    if recipe.rounding == "stochastic":
        needed.append(_STOCHASTIC)
    for name, description in needed:
        if importlib.util.find_spec(name) is None:
            return "%s needs %s; it is not installed" % (recipe.name, description)
    return None


def prepare(runtime: Runtime, spec: Spec, recipe: Recipe, base: Any) -> Any:
    """Return ``base``, a model in float32, as ``recipe`` trains it, in training mode.

    Raises:
        Unavailable: this machine cannot store a model in 4 bits.
    """
    if recipe.quantized:
        return with_adapters(runtime, spec, _for_adapters(runtime, spec, four_bit(runtime, recipe.base, base)))
    base = base.to(getattr(runtime.torch, recipe.base))
    return with_adapters(runtime, spec, base) if recipe.trains == "adapters" else _with_all_weights(spec, base)


def four_bit(runtime: Runtime, compute_dtype: str, model: Any) -> Any:
    """Return ``model`` with its linear layers stored in NF4, as ``from_pretrained`` with a configuration does it.

    Raises:
        Unavailable: the installed bitsandbytes or transformers quantizes on a GPU only.
    """
    torch, transformers = runtime.torch, runtime.transformers
    dtype = getattr(torch, compute_dtype)
    config = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    with tempfile.TemporaryDirectory(prefix="vc2doctor-base-") as folder:
        model.to("cpu").to(dtype).save_pretrained(folder)
        try:
            base = type(model).from_pretrained(
                folder, quantization_config=config, device_map={"": str(runtime.device)}, torch_dtype=dtype
            )
        except (ImportError, RuntimeError, ValueError) as error:
            reason = gpu_only_reason(runtime, error)
            if reason is not None:
                raise Unavailable(reason) from error
            raise
    return base


def gpu_only_reason(runtime: Runtime, error: BaseException) -> Optional[str]:
    """Return why 4 bits need a GPU here, if ``error`` shows that; ``None``: it is another failure.

    Without a GPU transformers up to 4.44 says that bitsandbytes and accelerate are not installed, although they are:
    https://github.com/huggingface/transformers/blob/v4.39.3/src/transformers/quantizers/quantizer_bnb_4bit.py
    bitsandbytes before 0.45 asserts in its own code that a tensor is on a GPU.
    """
    if runtime.device.type != "cpu":
        return None
    message = str(error).lower()
    says_so = any(word in message for word in ("cuda", "gpu"))
    denies = isinstance(error, ImportError) and "bitsandbytes" in message and importlib.util.find_spec("accelerate")
    frames = traceback.extract_tb(error.__traceback__)
    asserts = isinstance(error, AssertionError) and frames and "bitsandbytes" in frames[-1].filename
    if not (says_so or denies or asserts):
        return None
    shown = str(error) or type(error).__name__
    return "this bitsandbytes or transformers computes in 4 bits on a GPU only: %s" % shown


def _for_adapters(runtime: Runtime, spec: Spec, base: Any) -> Any:
    """Return a quantized ``base`` as peft wants it before adapters: its norms in float32, its inputs with gradients."""
    return runtime.peft.prepare_model_for_kbit_training(base, use_gradient_checkpointing=spec.checkpointing)


def _with_all_weights(spec: Spec, model: Any) -> Any:
    if spec.checkpointing and getattr(model, "supports_gradient_checkpointing", True):
        model.gradient_checkpointing_enable()
    model.config.use_cache = False
    # A checkpoint is loaded with frozen weights.
    model.requires_grad_(requires_grad=True)
    model.train()
    return model
