"""Functions for ``vc2doctor probe --entry planted:NAME``: each plants one fault; ``NAME_twin`` is the same without it.

They run in the target interpreter, on its own torch, transformers and peft.
"""

from typing import Any, Dict, Tuple

import peft
import torch
import transformers
from torch import nn
from torch.nn import functional

Given = Tuple[Any, ...]
_VOCABULARY, _WIDTH, _ROWS, _LENGTH = 32, 16, 2, 8
_IGNORED = -100


def language(dtype: Any, **settings: Any) -> Any:
    """Return a tiny language model in ``dtype`` with float32 LoRA adapters."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=_VOCABULARY,
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        tie_word_embeddings=False,
        pad_token_id=0,
        **settings,
    )
    base = transformers.LlamaForCausalLM(config).to(dtype)
    lora = peft.LoraConfig(task_type=peft.TaskType.CAUSAL_LM, r=4, target_modules=["q_proj", "v_proj", "down_proj"])
    model = peft.get_peft_model(base, lora)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
    return model


def words(padding: int = 0) -> Dict[str, Any]:
    """Return one batch of token ids, padded on the right in its last row."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, _VOCABULARY, (_ROWS, _LENGTH), generator=generator)
    mask = torch.ones_like(ids)
    if padding:
        ids[-1, -padding:] = 0
        mask[-1, -padding:] = 0
    labels = ids.clone()
    labels[mask == 0] = _IGNORED
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


class Regression(nn.Module):
    """Two layers that are trained to give ones; subclasses plant something between them."""

    def __init__(self, dtype: Any = torch.float32) -> None:
        super().__init__()
        self.first = nn.Linear(_WIDTH, _WIDTH).to(dtype)
        self.second = nn.Linear(_WIDTH, _WIDTH).to(dtype)

    def between(self, states: Any) -> Any:
        """Return what the second layer gets."""
        return states

    def after(self, loss: Any) -> Any:
        """Return the loss that is reported."""
        return loss

    def forward(self, given: Any) -> Any:
        """Return the loss on ``given``, of shape (rows, width)."""
        states = self.second(self.between(self.first(given.to(self.first.weight.dtype))))
        return self.after(((states.float() - 1) ** 2).mean())


def numbers() -> Any:
    """Return one batch of shape (rows, width)."""
    return torch.rand((_ROWS, _WIDTH), generator=torch.Generator().manual_seed(0))


def _half(model: Any) -> Any:
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.half()
    return model


def half_adapters(dtype: Any) -> Given:
    return _half(language(dtype)), words()


def half_adapters_twin(dtype: Any) -> Given:
    return language(dtype), words()


def _rounded(given: Given, dtype: Any) -> Given:
    for parameter in given[0].parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16().to(dtype)
    return given


def bfloat16_checkpoint(dtype: Any) -> Given:
    return _rounded(_product(torch.float32, 4e4, 0, 0), dtype)


def bfloat16_checkpoint_twin(dtype: Any) -> Given:
    return _rounded(_product(torch.float32, 4.0, 0, 0), dtype)


class Fine(nn.Module):
    """Depends on the last bits of a frozen float16 gain."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.first = nn.Linear(_WIDTH, _WIDTH)
        self.second = nn.Linear(_WIDTH, _WIDTH, bias=False)
        self.gain = nn.Parameter(torch.tensor([gain, gain - 2.0**-10]), requires_grad=False)

    def forward(self, given: Any) -> Any:
        """Return the loss on ``given``, of shape (rows, width)."""
        states = self.first(given) * (self.gain[0] - 1).float() * 512
        return ((self.second(states).float() - 1) ** 2).mean()


def float16_checkpoint() -> Given:
    return Fine(1 + 2.0**-9), numbers()


def float16_checkpoint_twin() -> Given:
    return Fine(1 + 2.0**-6), numbers()


def _product(dtype: Any, size: float, layer: int, padding: int) -> Given:
    # gate * up of one channel becomes size at the tokens whose embedding points that way.
    model = language(dtype)
    mlp = model.base_model.model.model.layers[layer].mlp
    with torch.no_grad():
        for projection in (mlp.gate_proj, mlp.up_proj):
            projection.weight[0] = size**0.5
        down = getattr(mlp.down_proj, "base_layer", mlp.down_proj)
        down.weight[:, 0] = 1.0 / size
        embedding = model.get_input_embeddings().weight
        embedding.abs_()
        if padding:
            # Only the padding token points that way; it is no longer the zero vector.
            embedding[1:, ::2] *= -1.0
            embedding[1:] -= embedding[1:].mean(dim=1, keepdim=True)
            embedding[0] = 1.0
    return model, words(padding)


def product_overflow(dtype: Any) -> Given:
    return _product(dtype, 4e4, 0, 0)


def product_overflow_twin(dtype: Any) -> Given:
    return _product(dtype, 4.0, 0, 0)


def padded_rows_overflow(dtype: Any) -> Given:
    return _product(dtype, 4e3, 1, 3)


def padded_rows_overflow_twin(dtype: Any) -> Given:
    return _product(dtype, 4.0, 1, 3)


class Squared(Regression):
    """Squares what the first layer gives, times ten."""

    factor = 10.0

    def between(self, states: Any) -> Any:
        """Return the square."""
        return (states * self.factor) ** 2


def _squared(dtype: Any, factor: float) -> Given:
    model = Squared(dtype)
    model.factor = factor
    return model, numbers()


class OwnAutocast(Squared):
    """Enters an autocast region of its own, as a helper with a default dtype does."""

    own = torch.float16

    def forward(self, given: Any) -> Any:
        """Return the loss on ``given``, of shape (rows, width)."""
        with torch.autocast("cpu", dtype=self.own):
            states = self.second(self.between(self.first(given)))
        return ((states.float() - 1) ** 2).mean()


def own_autocast(own: Any = torch.float16) -> Given:
    model = OwnAutocast()
    model.factor, model.own = 1e3, own
    return model, numbers()


def own_autocast_twin() -> Given:
    return own_autocast(torch.bfloat16)


def nested_overflow(dtype: Any) -> Given:
    return _squared(dtype, 1e3)


def nested_overflow_twin(dtype: Any) -> Given:
    return _squared(dtype, 1.0)


def labels_ignored(dtype: Any) -> Given:
    batch = words()
    batch["labels"] = torch.full_like(batch["labels"], _IGNORED)
    return language(dtype), batch


def labels_ignored_twin(dtype: Any) -> Given:
    return language(dtype), words()


class Masked(Regression):
    """Attention that hides keys by -inf."""

    def forward(self, given: Any, attention_mask: Any = None) -> Any:
        """Return the loss on ``given`` (rows, length, width) with ``attention_mask`` (rows, length)."""
        query = self.first(given.to(self.first.weight.dtype))
        scores = (query @ query.transpose(1, 2)).float().masked_fill(attention_mask[:, None, :] == 0, -float("inf"))
        mixed = scores.softmax(dim=-1).to(query.dtype) @ query
        return ((self.second(mixed).float() - 1) ** 2).mean()


def _masked(dtype: Any, mask: Any) -> Given:
    given = torch.rand((_ROWS, 4, _WIDTH), generator=torch.Generator().manual_seed(0))
    return Masked(dtype), {"given": given, "attention_mask": mask}


def masked_row(dtype: Any) -> Given:
    return _masked(dtype, torch.tensor([[1, 1, 1, 1], [0, 0, 0, 0]]))


def masked_row_twin(dtype: Any) -> Given:
    return _masked(dtype, torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0]]))


class Fused(Masked):
    """The same by torch's own attention."""

    def forward(self, given: Any, attention_mask: Any = None) -> Any:
        """Return the loss on ``given`` (rows, length, width) with ``attention_mask`` (rows, length)."""
        query = self.first(given.to(self.first.weight.dtype))
        kept = attention_mask[:, None, :].bool().expand(-1, query.shape[1], -1)
        mixed = functional.scaled_dot_product_attention(query, query, query, attn_mask=kept)
        return ((self.second(mixed).float() - 1) ** 2).mean()


def sdpa_masked_row(dtype: Any) -> Given:
    return Fused(dtype), masked_row(dtype)[1]


def sdpa_masked_row_twin(dtype: Any) -> Given:
    return Fused(dtype), masked_row_twin(dtype)[1]


def _sgd(rate: float) -> Given:
    model = Regression()
    return model, numbers(), torch.optim.SGD(model.parameters(), lr=rate)


def exploding_rate() -> Given:
    return _sgd(1e3)


def exploding_rate_twin() -> Given:
    return _sgd(1e-2)


def _weight(value: float) -> Given:
    model = language(torch.float32)
    with torch.no_grad():
        model.base_model.model.model.layers[0].mlp.gate_proj.weight[0, 0] = value
    return model, words()


def nan_weight() -> Given:
    return _weight(float("nan"))


def nan_weight_twin() -> Given:
    return _weight(0.5)


def infinite_weight() -> Given:
    return _weight(float("inf"))


infinite_weight_twin = nan_weight_twin


def _number(value: float) -> Given:
    batch = numbers()
    batch[0, 0] = value
    return Regression(), batch


def nan_input() -> Given:
    return _number(float("nan"))


def nan_input_twin() -> Given:
    return _number(0.5)


def infinite_input() -> Given:
    return _number(float("inf"))


infinite_input_twin = nan_input_twin


class Extended(Regression):
    """Has one layer more, which may be left out of the forward pass."""

    def __init__(self, *, touched: bool) -> None:
        super().__init__()
        self.added = nn.Linear(_WIDTH, _WIDTH)
        self._touched = touched

    def between(self, states: Any) -> Any:
        """Pass the extra layer, or leave it out."""
        return self.added(states) if self._touched else states


def untouched_adapters() -> Given:
    return Extended(touched=False), numbers()


def untouched_adapters_twin() -> Given:
    return Extended(touched=True), numbers()


class Joined(Regression):
    """Joins two halves, as a projector joins queries: ``torch.cat`` promotes nothing but float32 under autocast."""

    def between(self, states: Any) -> Any:
        """Join what came in bfloat16 with what autocast made."""
        fixed = torch.ones((states.shape[0], _WIDTH // 2), dtype=torch.bfloat16)
        return torch.cat([states[:, : _WIDTH // 2], fixed], dim=1)


def all_bfloat16() -> Given:
    return Joined(torch.bfloat16), numbers()


def all_bfloat16_twin() -> Given:
    return Regression(torch.bfloat16), numbers()


class Twice(Regression):
    """Uses one float32 weight under two autocast dtypes, whose casts share one cache."""

    def between(self, states: Any) -> Any:
        """Use the first layer again, in the other half precision."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.first(states)


def cast_cache() -> Given:
    return Twice(), numbers()


def cast_cache_twin() -> Given:
    return Regression(), numbers()


def _scaler(begin: float) -> None:
    """Make every GradScaler begin at ``begin``, as a config that hands ``init_scale`` on would."""
    from torch.amp import grad_scaler  # noqa: PLC0415 - new in torch 2.3

    plain = grad_scaler.GradScaler.__init__

    def start(self: Any, device: str = "cuda", **given: Any) -> None:
        plain(self, device, **{"init_scale": begin, **given})

    grad_scaler.GradScaler.__init__ = start


def huge_scale() -> Given:
    _scaler(2.0**40)
    return Regression(), numbers()


def huge_scale_twin() -> Given:
    _scaler(2.0**16)
    return Regression(), numbers()


class Spiked(Regression):
    """Overflows on a batch that holds a large number."""

    def between(self, states: Any) -> Any:
        """Square what came, so that it overflows in float16."""
        return states * states.abs().clamp(min=1.0)


def _spiked(begin: float, spike: float) -> Given:
    _scaler(begin)
    calm = numbers()
    return Spiked(), [calm * spike, calm * spike, calm]


def scale_at_zero() -> Given:
    return _spiked(2.0**-148, 1e4)


def scale_at_zero_twin() -> Given:
    return _spiked(2.0**16, 1.0)


class Faint(Regression):
    """Reports a loss that was divided, as gradient accumulation over very many steps does."""

    divisor = 1e8

    def after(self, loss: Any) -> Any:
        """Divide the loss."""
        return loss / self.divisor


def _faint(_dtype: Any, divisor: float) -> Given:
    # The weights stay in float32: only what autocast computes can vanish.
    model = Faint()
    model.divisor = divisor
    return model, numbers(), torch.optim.SGD(model.parameters(), lr=0.01 * divisor)


def underflow(dtype: Any) -> Given:
    return _faint(dtype, 1e8)


def underflow_twin(dtype: Any) -> Given:
    return _faint(dtype, 1.0)


def _small_steps(dtype: Any, rate: float) -> Given:
    model = Regression(dtype)
    return model, numbers(), torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)


def small_steps(dtype: Any) -> Given:
    return _small_steps(dtype, 1e-6)


def small_steps_twin(dtype: Any) -> Given:
    return _small_steps(dtype, 1e-2)


def stale_optimizer(*, stale: bool = True) -> Given:
    model = Regression()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    if stale:
        for layer in (model.first, model.second):
            layer.weight = nn.Parameter(layer.weight.detach().clone())
            layer.bias = nn.Parameter(layer.bias.detach().clone())
    return model, numbers(), optimizer


def stale_optimizer_twin() -> Given:
    return stale_optimizer(stale=False)


class Disabled(nn.Module):
    """Runs a language model as its base model alone, as code that computes a reference loss does."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, **batch: Any) -> Any:
        """Return the output on ``batch``."""
        with self.model.disable_adapter():
            return self.model(**batch)


def disabled_adapters(dtype: Any) -> Given:
    return Disabled(language(dtype)), words()


def disabled_adapters_twin(dtype: Any) -> Given:
    return language(dtype), words()


def nothing_trainable() -> Given:
    model = Regression()
    model.requires_grad_(False)  # noqa: FBT003 - torch's own signature
    return model, numbers()


def nothing_trainable_twin() -> Given:
    return Regression(), numbers()


class Large(Regression):
    """Squares very large numbers."""

    factor = 1e25

    def between(self, states: Any) -> Any:
        """Return the square of what was multiplied."""
        return (states * self.factor) ** 2


def _large(factor: float) -> Given:
    model = Large()
    model.factor = factor
    return model, numbers()


def overflow_everywhere() -> Given:
    return _large(1e25)


def overflow_everywhere_twin() -> Given:
    return _large(1.0)


class Logarithm(Regression):
    """Takes a logarithm of what a ReLU may have made zero."""

    floor = 0.0

    def between(self, states: Any) -> Any:
        """Return the logarithm."""
        return torch.log(functional.relu(states) + self.floor)


def _logarithm(floor: float) -> Given:
    model = Logarithm()
    model.floor = floor
    return model, numbers()


def logarithm_of_zero() -> Given:
    return _logarithm(0.0)


def logarithm_of_zero_twin() -> Given:
    return _logarithm(1.0)


def wrong_index(ids: int = _VOCABULARY) -> Given:
    batch = words()
    batch["input_ids"][0, 0] = ids
    return language(torch.float32), batch


def wrong_index_twin() -> Given:
    return wrong_index(3)


class Loud(Regression):
    """Reports a loss that was multiplied: the gradients pass float16's range, and the loss does not."""

    factor = 3e6

    def after(self, loss: Any) -> Any:
        """Multiply the loss."""
        return loss * self.factor


def _loud(_dtype: Any, factor: float) -> Given:
    model = Loud()
    model.factor = factor
    return model, numbers()


def backward_overflow(dtype: Any) -> Given:
    return _loud(dtype, 3e6)


def backward_overflow_twin(dtype: Any) -> Given:
    return _loud(dtype, 1.0)


def outliers_that_train(dtype: Any) -> Given:
    # Three residual channels a thousand times the others: the scaler skips its first steps and then trains.
    model = language(dtype)
    with torch.no_grad():
        model.get_input_embeddings().weight[:, :1] *= 1e3
    return model, words()


def custom_divide_by_zero(*, guard: float = 0.0) -> Given:
    class Normed(Regression):
        """Divides by a norm without epsilon."""

        def between(self, states: Any) -> Any:
            """Return the states over their own norm."""
            zeroed = states * 0.0 + guard
            return states / zeroed.norm(dim=-1, keepdim=True)

    return Normed(), numbers()


def divide_by_zero() -> Given:
    return custom_divide_by_zero()


def divide_by_zero_twin() -> Given:
    return custom_divide_by_zero(guard=1.0)
