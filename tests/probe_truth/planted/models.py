"""Building blocks of the planted faults: tiny models with one property each, and their batches."""

from typing import Any, Dict

import peft
import torch
import transformers
from torch import nn
from torch.nn import functional

VOCABULARY, WIDTH, ROWS, LENGTH = 32, 16, 2, 8
IGNORED_LABEL = -100
FIRST_WORD = 3
"""The first token id that is not a special token."""


def language(dtype: Any) -> Any:
    """Return a tiny language model in ``dtype`` with float32 LoRA adapters."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        tie_word_embeddings=False,
        pad_token_id=0,
    )
    base = transformers.LlamaForCausalLM(config).to(dtype)
    lora = peft.LoraConfig(task_type=peft.TaskType.CAUSAL_LM, r=4, target_modules=["q_proj", "v_proj", "down_proj"])
    model = peft.get_peft_model(base, lora)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
    return model


def language_with_product(dtype: Any, size: float, layer: int, *, padding_only: bool = False) -> Any:
    """Return a language model in which gate * up of one channel in ``layer`` grows with ``size``.

    With ``padding_only`` that happens at padding tokens alone.
    """
    model = language(dtype)
    mlp = model.base_model.model.model.layers[layer].mlp
    with torch.no_grad():
        for projection in (mlp.gate_proj, mlp.up_proj):
            projection.weight[0] = size**0.5
        down = getattr(mlp.down_proj, "base_layer", mlp.down_proj)
        down.weight[:, 0] = 1.0 / size
        # The channel computes the sum of the states, which is large for an embedding without negative elements.
        embedding = model.get_input_embeddings().weight
        embedding.abs_()
        if padding_only:
            # The sum of all other embeddings becomes 0. That of the padding token was 0, and becomes the largest.
            embedding[1:, ::2] *= -1.0
            embedding[1:] -= embedding[1:].mean(dim=1, keepdim=True)
            embedding[0] = 1.0
    return model


def tokens(padding: int = 0) -> Dict[str, Any]:
    """Return one batch of token ids; the last row ends in ``padding`` padding tokens."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(FIRST_WORD, VOCABULARY, (ROWS, LENGTH), generator=generator)
    mask = torch.ones_like(ids)
    if padding:
        ids[-1, -padding:] = 0
        mask[-1, -padding:] = 0
    labels = ids.clone()
    labels[mask == 0] = IGNORED_LABEL
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def numbers() -> Any:
    """Return one batch of numbers, of shape (rows, width)."""
    return torch.rand((ROWS, WIDTH), generator=torch.Generator().manual_seed(0))


class Regression(nn.Module):
    """Two layers that are trained to return ones; a subclass changes what happens between them."""

    def __init__(self, dtype: Any = torch.float32) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH).to(dtype)
        self.second = nn.Linear(WIDTH, WIDTH).to(dtype)

    def between(self, states: Any) -> Any:
        """Return the input of the second layer, from the output of the first."""
        return states

    def forward(self, inputs: Any) -> Any:
        """Return the loss on ``inputs``, of shape (rows, width)."""
        states = self.second(self.between(self.first(inputs.to(self.first.weight.dtype))))
        return ((states.float() - 1) ** 2).mean()


class ScaledLoss(Regression):
    """Multiplies its loss by a factor, and so all gradients."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, inputs: Any) -> Any:
        """Return the loss on ``inputs``, of shape (rows, width)."""
        return super().forward(inputs) * self.factor


class Squared(Regression):
    """Squares the output of the first layer times a factor."""

    def __init__(self, dtype: Any, factor: float) -> None:
        super().__init__(dtype)
        self.factor = factor

    def between(self, states: Any) -> Any:
        """Return the square."""
        return (states * self.factor) ** 2


class OwnAutocast(Squared):
    """Enters an autocast region of its own, as a helper with a default dtype does."""

    def __init__(self, autocast_dtype: Any, factor: float) -> None:
        super().__init__(torch.float32, factor)
        self.autocast_dtype = autocast_dtype

    def forward(self, inputs: Any) -> Any:
        """Return the loss on ``inputs``, of shape (rows, width)."""
        with torch.autocast("cpu", dtype=self.autocast_dtype):
            states = self.second(self.between(self.first(inputs)))
        return ((states.float() - 1) ** 2).mean()


class NeedsLastBits(nn.Module):
    """Depends on the last bits of a frozen float16 weight."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH, bias=False)
        # The second element is not exact in bfloat16, so that the twin counts as saved in float16 as well.
        self.gain = nn.Parameter(torch.tensor([gain, gain - 2.0**-10]), requires_grad=False)

    def forward(self, inputs: Any) -> Any:
        """Return the loss on ``inputs``, of shape (rows, width)."""
        states = self.first(inputs) * (self.gain[0] - 1).float() * 512
        return ((self.second(states).float() - 1) ** 2).mean()


class MaskedAttention(Regression):
    """Attention that hides keys with -inf."""

    def attend(self, query: Any, mask: Any) -> Any:
        """Return the mixed values, of shape (rows, length, width)."""
        scores = (query @ query.transpose(1, 2)).float().masked_fill(mask[:, None, :] == 0, -float("inf"))
        return scores.softmax(dim=-1).to(query.dtype) @ query

    def forward(self, inputs: Any, attention_mask: Any = None) -> Any:
        """Return the loss on ``inputs`` (rows, length, width) with ``attention_mask`` (rows, length)."""
        mixed = self.attend(self.first(inputs.to(self.first.weight.dtype)), attention_mask)
        return ((self.second(mixed).float() - 1) ** 2).mean()


class MaskedSdpa(MaskedAttention):
    """The same with torch's scaled_dot_product_attention."""

    def attend(self, query: Any, mask: Any) -> Any:
        """Return the mixed values, of shape (rows, length, width)."""
        kept = mask[:, None, :].bool().expand(-1, query.shape[1], -1)
        return functional.scaled_dot_product_attention(query, query, query, attn_mask=kept)


class ExtraLayer(Regression):
    """Has one layer more, which the forward pass can skip."""

    def __init__(self, *, used: bool) -> None:
        super().__init__()
        self.added = nn.Linear(WIDTH, WIDTH)
        self._used = used

    def between(self, states: Any) -> Any:
        """Apply the extra layer, or skip it."""
        return self.added(states) if self._used else states


class JoinsHalves(Regression):
    """Joins two tensors, as a projector joins queries: under autocast, ``torch.cat`` promotes only float32."""

    def between(self, states: Any) -> Any:
        """Join autocast's output with a bfloat16 tensor."""
        fixed = torch.ones((states.shape[0], WIDTH // 2), dtype=torch.bfloat16)
        return torch.cat([states[:, : WIDTH // 2], fixed], dim=1)


class TwoRegions(Regression):
    """Uses one float32 weight under two autocast dtypes; both regions share one cache of casts."""

    def between(self, states: Any) -> Any:
        """Use the first layer again, in the other half precision."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.first(states)


class GrowsWithInput(Regression):
    """Overflows in float16 on a batch of large numbers."""

    def between(self, states: Any) -> Any:
        """Square the states that are larger than 1."""
        return states * states.abs().clamp(min=1.0)


class Logarithm(Regression):
    """Takes the logarithm of a ReLU's output plus a floor."""

    def __init__(self, floor: float) -> None:
        super().__init__()
        self.floor = floor

    def between(self, states: Any) -> Any:
        """Return the logarithm."""
        return torch.log(functional.relu(states) + self.floor)


class DividedByNorm(Regression):
    """Divides by a norm that is 0 without ``guard``."""

    def __init__(self, guard: float) -> None:
        super().__init__()
        self.guard = guard

    def between(self, states: Any) -> Any:
        """Return the states, divided by the norm."""
        zeroed = states * 0.0 + self.guard
        return states / zeroed.norm(dim=-1, keepdim=True)


class DisabledAdapters(nn.Module):
    """Runs a PEFT model without its adapters, as code that computes a reference loss does."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, **batch: Any) -> Any:
        """Return the output on ``batch``."""
        with self.model.disable_adapter():
            return self.model(**batch)
