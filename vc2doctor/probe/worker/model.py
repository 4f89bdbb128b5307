"""A tiny Mistral with LoRA adapters and one padded batch, both from the installed transformers and peft."""

from typing import Any, Dict, List, NamedTuple

SEED = 0
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head")
"""LoRA targets of VideoChat2-Mistral, stage 3 (``models/videochat_mistra/videochat2_it_mistral.py``)."""
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
_ROWS, _LENGTH, _PROMPT, _PADDING = 2, 24, 8, 6
_IGNORED = -100


class Batch(NamedTuple):
    """Token ids, attention mask and labels, all of shape (rows, length); one row is padded on the right."""

    ids: Any
    mask: Any
    labels: Any


def build(torch: Any, transformers: Any, peft: Any, device: Any, base: str) -> Any:
    """Return the adapted model in training mode; ``base`` is the dtype of the frozen weights."""
    model = base_model(torch, transformers, device, base)
    model.gradient_checkpointing_enable()
    model.config.use_cache = False
    settings = peft.LoraConfig(
        task_type=peft.TaskType.CAUSAL_LM,
        inference_mode=False,
        r=16,
        lora_alpha=32,
        lora_dropout=0.1,
        target_modules=list(TARGETS),
    )
    adapted = peft.get_peft_model(model, settings)
    adapted.train()
    return adapted


def base_model(torch: Any, transformers: Any, device: Any, base: str) -> Any:
    """Return the seeded base model in ``base``, on ``device``: the same weights at every call."""
    torch.manual_seed(SEED)
    prefix = "Mistral" if hasattr(transformers, "MistralConfig") else "Llama"
    shape = dict(_SHAPE)
    if prefix == "Llama":
        shape.pop("num_key_value_heads")
    config = getattr(transformers, prefix + "Config")(**shape)
    model = getattr(transformers, prefix + "ForCausalLM")(config)
    return model.to(device=device, dtype=getattr(torch, base))


def batch(torch: Any, device: Any) -> Batch:
    """Return the batch: prompt and padding are ignored by the loss, as in instruction tuning."""
    generator = torch.Generator().manual_seed(SEED)
    ids = torch.randint(3, _SHAPE["vocab_size"], (_ROWS, _LENGTH), generator=generator)
    mask = torch.ones_like(ids)
    mask[-1, -_PADDING:] = 0
    ids[mask == 0] = 0
    labels = ids.clone()
    labels[:, :_PROMPT] = _IGNORED
    labels[mask == 0] = _IGNORED
    return Batch(ids.to(device), mask.to(device), labels.to(device))


def inputs(model: Any, made: Batch) -> Dict[str, Any]:
    """Return the forward arguments: ``inputs_embeds`` that need a gradient, as a projected video has."""
    embedded = model.get_input_embeddings()(made.ids).detach().requires_grad_()
    return {"inputs_embeds": embedded, "attention_mask": made.mask, "labels": made.labels}


def trainable(model: Any) -> List[Any]:
    """Return the parameters that the optimiser gets."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
