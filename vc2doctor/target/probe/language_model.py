"""The language model, its adapters and the batches, all from the installed transformers and peft."""

from typing import Any, Dict, List, NamedTuple

from ..runtime import Runtime
from ..shared.spec import Spec

CHANNELS, WORDS = 3, 64
"""Of the video, and of the Q-Former's own vocabulary."""
BEFORE = 3
"""Tokens of the prompt that stand before the video; the rest of the text follows it."""
BOS, PAD = 1, 2
"""Mistral's; its tokenizer has no padding token, so upstream pads with the end of a sequence."""
_ROWS, _WORDS, _QUESTION, _PADDING, _TEXT, _TEXT_PADDING = 2, 14, 4, 6, 5, 2
_IGNORED = -100


class Batch(NamedTuple):
    """One batch: token ids, attention mask and labels of shape (rows, length), and the video with its question.

    A row is the beginning of a sequence, ``BEFORE`` tokens, the places of the video, the rest of the text, padding.
    ``video`` is (rows, frames, channels, height, width); ``text`` and ``text_mask`` are (rows, words).
    """

    name: str
    ids: Any
    mask: Any
    labels: Any
    video: Any
    text: Any
    text_mask: Any


def adapted(runtime: Runtime, spec: Spec, model: Any) -> Any:
    """Return ``model`` with the adapters that ``spec`` names, in training mode."""
    runtime.torch.manual_seed(spec.seed)
    if spec.checkpointing:
        model.gradient_checkpointing_enable()
    model.config.use_cache = False
    settings = runtime.peft.LoraConfig(
        task_type=runtime.peft.TaskType.CAUSAL_LM,
        inference_mode=False,
        r=spec.r,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=list(spec.targets),
    )
    made = runtime.peft.get_peft_model(model, settings)
    made.train()
    return made


def base_model(runtime: Runtime, spec: Spec, base: str) -> Any:
    """Return the seeded base model in ``base``: the same weights at every call."""
    runtime.torch.manual_seed(spec.seed)
    prefix = "Mistral" if hasattr(runtime.transformers, "MistralConfig") else "Llama"
    shape: Dict[str, Any] = {
        "vocab_size": spec.shape.vocabulary,
        "hidden_size": spec.shape.hidden,
        "intermediate_size": spec.shape.intermediate,
        "num_hidden_layers": spec.shape.layers,
        "num_attention_heads": spec.shape.heads,
        "max_position_embeddings": 2 * length(spec),
        "tie_word_embeddings": False,
        "bos_token_id": BOS,
        "eos_token_id": PAD,
    }
    if prefix == "Mistral":
        shape["num_key_value_heads"] = spec.shape.kv_heads
    if spec.attention != "default":
        shape["attn_implementation"] = spec.attention
    config = getattr(runtime.transformers, prefix + "Config")(**shape)
    model = getattr(runtime.transformers, prefix + "ForCausalLM")(config)
    return model.to(device=runtime.device, dtype=getattr(runtime.torch, base))


def length(spec: Spec) -> int:
    """Return the number of tokens in a row."""
    return 1 + BEFORE + spec.shape.queries + spec.shape.extra_queries + _WORDS


def batches(runtime: Runtime, spec: Spec) -> List[Batch]:
    """Return two batches, one without padding and one padded on the right, as upstream really pads.

    ``tokenizer.padding_side = "left"`` never reaches upstream's code, which pads by hand. Prompt, video and padding are
    ignored by the loss, as in instruction tuning.
    """
    torch = runtime.torch
    generator = torch.Generator().manual_seed(spec.seed)
    made = []
    for name, padding, text_padding in (("unpadded", 0, 0), ("padded", _PADDING, _TEXT_PADDING)):
        ids = torch.randint(3, spec.shape.vocabulary, (_ROWS, length(spec)), generator=generator)
        ids[:, 0] = BOS
        mask = _mask(torch, ids, padding)
        ids[mask == 0] = PAD
        labels = ids.clone()
        labels[:, : length(spec) - _WORDS + _QUESTION] = _IGNORED
        labels[mask == 0] = _IGNORED
        size = (_ROWS, spec.shape.frames, CHANNELS, spec.shape.image, spec.shape.image)
        video = torch.rand(size, generator=generator)
        text = torch.randint(0, WORDS, (_ROWS, _TEXT), generator=generator)
        tensors = (ids, mask, labels, video, text, _mask(torch, text, text_padding))
        made.append(Batch(name, *(tensor.to(runtime.device) for tensor in tensors)))
    return made


def _mask(torch: Any, ids: Any, padding: int) -> Any:
    """Return the attention mask of ``ids`` (rows, length) whose last row ends in ``padding``."""
    mask = torch.ones_like(ids)
    if padding:
        mask[-1, -padding:] = 0
    return mask
