"""Builds the user's own architecture as a miniature: from the JSON of its configuration, never from code or weights."""

import contextlib
import importlib
import json
import re
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple

from ..runtime import Runtime
from ..shared.spec import Spec
from .shrink import is_kept, sections, shrink, shrink_tower

MAX_PARAMETERS = 20_000_000
"""A miniature has less than one million. More means that a width escaped, and that the probe would need much memory."""
TEXT_KEYS = ("text_config", "language_config", "llm_config", "thinker_config")
"""Where a configuration for several kinds of input keeps that of its language model."""
EXPERT_NAMES = ("gate_proj", "up_proj", "down_proj", "w1", "w2", "w3")
"""https://github.com/huggingface/peft/blob/main/src/peft/utils/transformers_weight_conversion.py."""
MAX_LAYERS = 1024
"""The deepest published models have about 130."""
NOT_CALLED: Tuple[str, ...] = ("dt_proj",)
"""Mamba multiplies with the weight of this layer itself, so an adapter around the layer would get no gradient."""
MAMBA_TYPES = ("falcon_h1", "mamba", "mamba2", "falcon_mamba", "nemotron_h")
MAMBA_NAMES = ("out_proj", "conv1d")
"""https://github.com/huggingface/peft/blob/main/src/peft/tuners/tuners_utils.py, for the types above."""
NOT_OF_THE_MODEL = ("quantization_config", "auto_map", "torch_dtype", "dtype", "architectures")
"""Keys that say how weights are stored, or where code of the model's own lies."""
MAPPINGS = (
    "MODEL_FOR_CAUSAL_LM_MAPPING",
    "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING",
    "MODEL_FOR_VISION_2_SEQ_MAPPING",
)
"""transformers' tables of classes with a language model's loss; the last two are one table under two names."""
SECTIONS = {
    **dict.fromkeys(("qwen2_vl_text", "qwen2_5_vl_text"), (16, 24, 24)),
    **dict.fromkeys(("glm4v_text", "glm4v_moe_text"), (8, 12, 12)),
}
"""Sections of the rotary positions of published models, by the type of the language model."""
TOWER = re.compile(r"(^|\.)(visual|vision|audio|multi_modal|multimodal|connector|aligner)")
"""Modules that the probe's texts do not pass through, so that adapters on them would get no gradient."""
MAX_NESTING = 3
"""Levels of such keys; Qwen-Omni has two."""


class UnknownArchitectureError(Exception):
    """The installed transformers has no configuration class for a model type."""


class ShrinkError(Exception):
    """A configuration cannot be turned into a small model."""


class OwnCodeError(Exception):
    """A model type that only code beside the weights knows, which is never run."""


def language_part(config: Dict[str, Any]) -> Dict[str, Any]:
    """Return the configuration of the language model in ``config``: a part of it, or all of it."""
    for _ in range(MAX_NESTING):
        part = next((config[key] for key in TEXT_KEYS if isinstance(config.get(key), dict)), None)
        if part is None:
            break
        # Older configurations leave the type of the language model out; LLaVA means Llama then.
        config = dict({"model_type": "llama"}, **part)
    return config


def build(runtime: Runtime, spec: Spec, bos: int, eos: int) -> Any:
    """Return the seeded float32 model of two layers of ``spec.architecture``, on the device.

    Raises:
        UnknownArchitectureError: the installed transformers has no such model type.
        OwnCodeError: it has none, and the configuration names code of the model's own.
        ImportError: the model class cannot be imported here.
        ShrinkError: the configuration cannot be shrunk, or the class cannot be built from the small one.
    """
    config = small_config(runtime, spec, bos, eos)
    model_class = _class_of(runtime, config)
    try:
        _check_size(runtime, model_class, config)
        runtime.torch.manual_seed(spec.seed)
        model = _construct(model_class, config)
    except (ImportError, ShrinkError):
        raise
    except Exception as error:
        raise ShrinkError("its class cannot be built with two small layers: %s" % _text(error)) from error
    return model.to(device=runtime.device, dtype=runtime.torch.float32)


def build_whole(runtime: Runtime, spec: Spec, special: Tuple[int, int]) -> Any:
    """Return the small model of the class that the configuration itself names, with its towers if it has some.

    ``build`` returns the language model of such a class alone, where that has a class of its own.

    Raises:
        ShrinkError: it cannot be built small.
    """
    try:
        whole = _full_config(runtime, json.loads(spec.architecture))
        part = language_part(whole.to_dict())
        if part.get("model_type") == whole.model_type:
            return build(runtime, spec, *special)
        text = _part_config(runtime, part)
        small = dict(_shrunk(text, spec, special), model_type=text.model_type)
        config = _small_whole(runtime, whole, small)
        model_class = _class_of(runtime, config)
        _check_size(runtime, model_class, config)
        runtime.torch.manual_seed(spec.seed)
        model = _construct(model_class, config)
    except Exception as error:
        raise ShrinkError("its class cannot be built small: %s" % _text(error)) from error
    return model.to(device=runtime.device, dtype=runtime.torch.float32)


def small_config(runtime: Runtime, spec: Spec, bos: int, eos: int) -> Any:
    """Return the configuration object of the small twin: of the language model, if that has a class of its own.

    Raises:
        UnknownArchitectureError: the installed transformers has no such model type.
        OwnCodeError: it has none, and the configuration names code of the model's own.
        ShrinkError: the configuration cannot be shrunk.
    """
    try:
        whole = _full_config(runtime, json.loads(spec.architecture))
        part = language_part(whole.to_dict())
        full = whole if part.get("model_type") == whole.model_type else _part_config(runtime, part)
        small = _shrunk(full, spec, (bos, eos))
        config = runtime.transformers.AutoConfig.for_model(full.model_type, **small)
        if _mapped(runtime, MAPPINGS[:1], config) is None and full is not whole:
            config = _small_whole(runtime, whole, dict(small, model_type=full.model_type))
    except (ImportError, UnknownArchitectureError, OwnCodeError, ShrinkError):
        raise
    except Exception as error:
        raise ShrinkError("its configuration cannot be shrunk: %s" % _text(error)) from error
    return config


def _shrunk(full: Any, spec: Spec, special: Tuple[int, int]) -> Dict[str, Any]:
    names = dict(getattr(full, "attribute_map", None) or {})
    small, _, rotary_half = shrink(full.to_dict(), names, spec.shape.vocabulary, special)
    if full.model_type in SECTIONS:
        key = "rope_parameters" if "rope_parameters" in small else "rope_scaling"
        # Every published configuration has the sections, but the class has no default for them.
        rope = small.get(key) or {"rope_type": "default"}
        small[key] = dict({"mrope_section": sections(SECTIONS[full.model_type], rotary_half)}, **rope)
    if spec.attention != "default":
        small["attn_implementation"] = spec.attention
    return small


def _small_whole(runtime: Runtime, whole: Any, text: Dict[str, Any]) -> Any:
    """Return the small configuration of a model whose language model has no class of its own, such as Qwen2-VL."""
    keys = {name: value for name, value in whole.to_dict().items() if is_kept(name)}
    vision = whole.to_dict()["vision_config"]
    small = dict(shrink_tower(vision, language_part(whole.to_dict())["hidden_size"]), model_type=vision["model_type"])
    keys.update(text_config=text, vision_config=small)
    return runtime.transformers.AutoConfig.for_model(whole.model_type, **keys)


def _full_config(runtime: Runtime, keys: Dict[str, Any]) -> Any:
    model_type = str(keys.get("model_type"))
    if model_type not in runtime.transformers.CONFIG_MAPPING:
        raise (OwnCodeError if "auto_map" in keys else UnknownArchitectureError)(model_type)
    # for_model runs the installed transformers' class only, whatever the file says about code of its own.
    given = {key: value for key, value in keys.items() if key not in ("model_type", *NOT_OF_THE_MODEL)}
    if any("layer" in key and isinstance(value, int) and value > MAX_LAYERS for key, value in given.items()):
        # Some classes make a list of all layers, which would fill the memory.
        raise ShrinkError("its configuration has more than %d layers" % MAX_LAYERS)
    return runtime.transformers.AutoConfig.for_model(model_type, **given)


def _part_config(runtime: Runtime, part: Dict[str, Any]) -> Any:
    """Return the full configuration of a language model within a larger one, which transformers knows.

    Raises:
        ShrinkError: the part has no configuration class of its own, as in Mllama before transformers 5.
    """
    try:
        return _full_config(runtime, part)
    except (UnknownArchitectureError, OwnCodeError) as error:
        raise ShrinkError("its language model has no configuration class: %s" % error) from error


def _class_of(runtime: Runtime, config: Any) -> Any:
    """Return the class with a language model's loss for ``config``."""
    found = _mapped(runtime, MAPPINGS, config)
    if found is None:
        raise ShrinkError("transformers %s has no language model class for it" % runtime.transformers.__version__)
    return found


def _mapped(runtime: Runtime, names: Sequence[str], config: Any) -> Optional[Any]:
    """Return the class that one of transformers' tables has for the class of ``config``."""
    for name in names:
        mapping = getattr(runtime.transformers, name, None)
        if mapping is not None and type(config) in mapping:
            found: Any = mapping[type(config)]
            return found[0] if isinstance(found, (list, tuple)) else found
    return None


def _construct(model_class: Any, config: Any) -> Any:
    # Older releases choose the attention code in `_from_config` only.
    from_config = getattr(model_class, "_from_config", None)
    return from_config(config) if from_config is not None else model_class(config)


def _check_size(runtime: Runtime, model_class: Any, config: Any) -> None:
    """Count the parameters without memory for them, where torch can do that.

    Raises:
        ShrinkError: there are too many.
    """
    with contextlib.ExitStack() as stack:
        if not _enter_meta(runtime, stack):
            return
        try:
            count = sum(parameter.numel() for parameter in _construct(model_class, config).parameters())
        except ImportError:
            raise
        except Exception:  # noqa: BLE001 - some classes compute with their buffers, which meta tensors cannot do
            return
    if count > MAX_PARAMETERS:
        raise ShrinkError("with two layers it still has %.3g million parameters" % (count / 1e6))


def _enter_meta(runtime: Runtime, stack: contextlib.ExitStack) -> bool:
    """Enter a region in which new tensors have no memory; ``False``: torch before 2.0 has none."""
    device = runtime.torch.device("meta")
    if not hasattr(device, "__enter__"):
        return False
    stack.enter_context(device)
    return True


def linear_names(runtime: Runtime, model: Any) -> Tuple[str, ...]:
    """Return the names of all linear layers but the output layer: what peft calls ``all-linear``.

    peft has that word since 0.8 only, so the names are collected here. In a model whose experts are one parameter,
    layers with the former names of those experts are left out: peft takes them for the experts, and refuses dropout.
    So are the layers of Mamba models that peft refuses.
    """
    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    left_out = NOT_CALLED
    if any(_holds_experts(*named) for named in model.named_parameters()):
        left_out += EXPERT_NAMES
    if model.config.model_type in MAMBA_TYPES:
        left_out += MAMBA_NAMES
    return tuple(
        name
        for name, module in _linear_modules(runtime, model)
        if module is not output and name.rsplit(".", 1)[-1] not in left_out and TOWER.search(name) is None
    )


def _holds_experts(name: str, parameter: Any) -> bool:
    return "experts" in name and parameter.dim() > 2  # noqa: PLR2004 - more than a matrix


def _linear_modules(runtime: Runtime, model: Any) -> Iterator[Tuple[str, Any]]:
    kinds = tuple(kind for kind in (runtime.torch.nn.Linear, _conv1d()) if kind is not None)
    for name, module in model.named_modules():
        if isinstance(module, kinds):
            yield name, module


def _conv1d() -> Optional[Any]:
    """Return transformers' linear layer with a transposed weight, which GPT-2 has."""
    with contextlib.suppress(ImportError):
        return getattr(importlib.import_module("transformers.pytorch_utils"), "Conv1D", None)
    return None


def _text(error: BaseException) -> str:
    return "%s: %s" % (type(error).__name__, " ".join(str(error).split())[:200])
