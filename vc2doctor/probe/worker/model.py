"""The base model, its adapters and the batches, all from the installed transformers and peft."""

from typing import Any, Dict, List, NamedTuple

from .spec import Spec

_SHAPE = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
HIDDEN = 64
FRAMES, CHANNELS, SIZE = 2, 3, 16
"""Of the video; the words of its question are ``TEXT`` of ``WORDS``."""
TEXT, WORDS = 5, 64
_ROWS, _LENGTH, _PROMPT, _PADDING = 2, 26, 10, 6
_IGNORED = -100


class Batch(NamedTuple):
    """One batch: token ids, attention mask and labels of shape (rows, length), and the video with its question.

    ``video`` is (rows, frames, channels, height, width); ``text`` and ``text_mask`` are (rows, words).
    """

    name: str
    ids: Any
    mask: Any
    labels: Any
    video: Any
    text: Any
    text_mask: Any


def adapted(stack: Any, spec: Spec, base: str) -> Any:
    """Return the language model with adapters, in training mode; ``base`` is the dtype of its frozen weights."""
    model = base_model(stack, spec, base)
    model.gradient_checkpointing_enable()
    model.config.use_cache = False
    settings = stack.peft.LoraConfig(
        task_type=stack.peft.TaskType.CAUSAL_LM,
        inference_mode=False,
        r=spec.r,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=list(spec.targets),
    )
    made = stack.peft.get_peft_model(model, settings)
    made.train()
    return made


def base_model(stack: Any, spec: Spec, base: str) -> Any:
    """Return the seeded base model in ``base``: the same weights at every call."""
    stack.torch.manual_seed(spec.seed)
    prefix = "Mistral" if hasattr(stack.transformers, "MistralConfig") else "Llama"
    shape: Dict[str, Any] = dict(_SHAPE)
    if prefix == "Llama":
        shape.pop("num_key_value_heads")
    if spec.attention != "default":
        shape["attn_implementation"] = spec.attention
    config = getattr(stack.transformers, prefix + "Config")(**shape)
    model = getattr(stack.transformers, prefix + "ForCausalLM")(config)
    return model.to(device=stack.device, dtype=getattr(stack.torch, base))


def batches(stack: Any, spec: Spec) -> List[Batch]:
    """Return two batches, one without padding and one padded on the right, as upstream really pads.

    Prompt and padding are ignored by the loss, as in instruction tuning.
    """
    torch = stack.torch
    generator = torch.Generator().manual_seed(spec.seed)
    made = []
    for name, padding in (("unpadded", 0), ("padded", _PADDING)):
        ids = torch.randint(3, _SHAPE["vocab_size"], (_ROWS, _LENGTH), generator=generator)
        mask = torch.ones_like(ids)
        if padding:
            mask[-1, -padding:] = 0
        ids[mask == 0] = 0
        labels = ids.clone()
        labels[:, :_PROMPT] = _IGNORED
        labels[mask == 0] = _IGNORED
        video = torch.rand((_ROWS, FRAMES, CHANNELS, SIZE, SIZE), generator=generator)
        text = torch.randint(0, WORDS, (_ROWS, TEXT), generator=generator)
        tensors = (ids, mask, labels, video, text, torch.ones_like(text))
        made.append(Batch(name, *(tensor.to(stack.device) for tensor in tensors)))
    return made
