"""Builds the language model, its adapters and the batches, all from the installed transformers and peft."""

from typing import Any, Dict, List, NamedTuple

from ..runtime import Runtime
from ..shared.spec import Spec
from . import architecture
from .tensors import IGNORED_LABEL

CHANNELS = 3
"""Color channels of the video."""
QFORMER_VOCABULARY = 64
PROMPT_TOKENS = 3
"""Tokens of the prompt before the video; the rest of the text follows it."""
BOS, PAD = 1, 2
"""Token ids of Mistral. Its tokenizer has no padding token, so upstream pads with the end-of-sequence token."""

_ROWS = 2
_TEXT_TOKENS = 14
"""Tokens after the video: a question, then the answer that is trained."""
_QUESTION_TOKENS = 4
_PADDING = 6
_QFORMER_TOKENS = 5
_QFORMER_PADDING = 2
FIRST_WORD = 3
"""The first token id that is not a special token."""


class VideoBatch(NamedTuple):
    """One batch: token ids, attention mask and labels of shape (rows, length), and the video with its question.

    A row holds the begin-of-sequence token, ``PROMPT_TOKENS`` tokens, the places of the video, the rest of the text,
    and padding. ``video`` is (rows, frames, channels, height, width); ``text`` and ``text_mask`` are (rows, words).
    """

    name: str
    ids: Any
    mask: Any
    labels: Any
    video: Any
    text: Any
    text_mask: Any


def with_adapters(runtime: Runtime, spec: Spec, model: Any) -> Any:
    """Return ``model`` with the LoRA adapters of ``spec``, in training mode."""
    runtime.torch.manual_seed(spec.seed)
    if spec.checkpointing and getattr(model, "supports_gradient_checkpointing", True):
        model.gradient_checkpointing_enable()
    model.config.use_cache = False
    peft_model = runtime.peft.get_peft_model(model, lora_config(runtime, spec, adapter_targets(runtime, spec, model)))
    peft_model.train()
    return peft_model


def lora_config(runtime: Runtime, spec: Spec, targets: List[str]) -> Any:
    """Return the configuration of the LoRA adapters of ``spec`` on the modules ``targets``."""
    return runtime.peft.LoraConfig(
        task_type=runtime.peft.TaskType.CAUSAL_LM,
        inference_mode=False,
        r=spec.r,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=targets,
    )


def adapter_targets(runtime: Runtime, spec: Spec, model: Any) -> List[str]:
    """Return the modules of ``model`` that get adapters: the spec's targets, or every linear layer if it has none.

    In a model that is not the profile's own they are named in full, and only linear layers are taken.
    """
    if not spec.architecture and runtime.checkpoint is None:
        return list(spec.targets)
    linear = architecture.linear_names(runtime, model)
    return [name for name in linear if name.rsplit(".", 1)[-1] in spec.targets] or list(linear)


def family(transformers: Any) -> str:
    """Return the prefix of the model classes to use: ``Mistral``, or ``Llama`` in a transformers without Mistral."""
    return "Mistral" if hasattr(transformers, "MistralConfig") else "Llama"


def base_model(runtime: Runtime, spec: Spec, dtype: str) -> Any:
    """Return the seeded base model in ``dtype``, with the same weights at every call."""
    if spec.architecture:
        return architecture.build(runtime, spec, BOS, PAD).to(getattr(runtime.torch, dtype))
    runtime.torch.manual_seed(spec.seed)
    prefix = family(runtime.transformers)
    options: Dict[str, Any] = {
        "vocab_size": spec.shape.vocabulary,
        "hidden_size": spec.shape.hidden,
        "intermediate_size": spec.shape.intermediate,
        "num_hidden_layers": spec.shape.layers,
        "num_attention_heads": spec.shape.heads,
        "max_position_embeddings": 2 * row_length(spec),
        "tie_word_embeddings": False,
        "bos_token_id": BOS,
        "eos_token_id": PAD,
    }
    if prefix == "Mistral":
        options["num_key_value_heads"] = spec.shape.kv_heads
    if spec.attention != "default":
        options["attn_implementation"] = spec.attention
    config = getattr(runtime.transformers, prefix + "Config")(**options)
    model = getattr(runtime.transformers, prefix + "ForCausalLM")(config)
    return model.to(device=runtime.device, dtype=getattr(runtime.torch, dtype))


def row_length(spec: Spec) -> int:
    """Return the number of tokens in a row."""
    return 1 + PROMPT_TOKENS + spec.shape.queries + spec.shape.extra_queries + _TEXT_TOKENS


def batches(runtime: Runtime, spec: Spec) -> List[VideoBatch]:
    """Return two batches: one without padding, and one padded on the right, as upstream really pads.

    Upstream sets ``tokenizer.padding_side = "left"``, but pads by hand, so the setting has no effect. The loss ignores
    the prompt, the video and the padding, as in instruction tuning.
    """
    torch = runtime.torch
    generator = torch.Generator().manual_seed(spec.seed)
    built = []
    for name, padding, text_padding in (("unpadded", 0, 0), ("padded", _PADDING, _QFORMER_PADDING)):
        ids = torch.randint(FIRST_WORD, spec.shape.vocabulary, (_ROWS, row_length(spec)), generator=generator)
        ids[:, 0] = BOS
        mask = _attention_mask(torch, ids, padding)
        ids[mask == 0] = PAD
        labels = ids.clone()
        labels[:, : row_length(spec) - _TEXT_TOKENS + _QUESTION_TOKENS] = IGNORED_LABEL
        labels[mask == 0] = IGNORED_LABEL
        size = (_ROWS, spec.shape.frames, CHANNELS, spec.shape.image, spec.shape.image)
        video = torch.rand(size, generator=generator)
        text = torch.randint(0, QFORMER_VOCABULARY, (_ROWS, _QFORMER_TOKENS), generator=generator)
        tensors = (ids, mask, labels, video, text, _attention_mask(torch, text, text_padding))
        built.append(VideoBatch(name, *(tensor.to(runtime.device) for tensor in tensors)))
    return built


def _attention_mask(torch: Any, ids: Any, padding: int) -> Any:
    """Return the attention mask of ``ids`` (rows, length): 0 at the last ``padding`` tokens of the last row."""
    mask = torch.ones_like(ids)
    if padding:
        mask[-1, -padding:] = 0
    return mask
