"""Functions for ``vc2doctor probe --entry planted.faults:NAME``: each plants one fault, and ``NAME_twin`` does not."""

from typing import Any, Tuple

import torch
from torch import nn

from . import models

Subject = Tuple[Any, ...]
"""A model, its batch or batches, and perhaps its optimizer."""


def half_adapters(dtype: Any) -> Subject:
    model = models.language(dtype)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.half()
    return model, models.tokens()


def half_adapters_twin(dtype: Any) -> Subject:
    return models.language(dtype), models.tokens()


def _saved_in_bfloat16(size: float, dtype: Any) -> Subject:
    model = models.language_with_product(torch.float32, size, 0)
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16().to(dtype)
    return model, models.tokens()


def bfloat16_checkpoint(dtype: Any) -> Subject:
    return _saved_in_bfloat16(4e4, dtype)


def bfloat16_checkpoint_twin(dtype: Any) -> Subject:
    return _saved_in_bfloat16(4.0, dtype)


def float16_checkpoint() -> Subject:
    return models.NeedsLastBits(1 + 2.0**-9), models.numbers()


def float16_checkpoint_twin() -> Subject:
    return models.NeedsLastBits(1 + 2.0**-6), models.numbers()


def product_overflow(dtype: Any) -> Subject:
    return models.language_with_product(dtype, 4e4, 0), models.tokens()


def product_overflow_twin(dtype: Any) -> Subject:
    return models.language_with_product(dtype, 4.0, 0), models.tokens()


def padded_rows_overflow(dtype: Any) -> Subject:
    return models.language_with_product(dtype, 4e3, 1, padding_only=True), models.tokens(padding=3)


def padded_rows_overflow_twin(dtype: Any) -> Subject:
    return models.language_with_product(dtype, 4.0, 1, padding_only=True), models.tokens(padding=3)


def own_autocast() -> Subject:
    return models.OwnAutocast(torch.float16, 1e3), models.numbers()


def own_autocast_twin() -> Subject:
    return models.OwnAutocast(torch.bfloat16, 1e3), models.numbers()


def nested_overflow(dtype: Any) -> Subject:
    return models.Squared(dtype, 1e3), models.numbers()


def nested_overflow_twin(dtype: Any) -> Subject:
    return models.Squared(dtype, 1.0), models.numbers()


def overflow_everywhere() -> Subject:
    return models.Squared(torch.float32, 1e25), models.numbers()


def overflow_everywhere_twin() -> Subject:
    return models.Squared(torch.float32, 1.0), models.numbers()


def labels_ignored(dtype: Any) -> Subject:
    batch = models.tokens()
    batch["labels"] = torch.full_like(batch["labels"], models.IGNORED_LABEL)
    return models.language(dtype), batch


def labels_ignored_twin(dtype: Any) -> Subject:
    return models.language(dtype), models.tokens()


def _masked(model: Any, *second_row: int) -> Subject:
    inputs = torch.rand((models.ROWS, 4, models.WIDTH), generator=torch.Generator().manual_seed(0))
    return model, {"inputs": inputs, "attention_mask": torch.tensor([[1, 1, 1, 1], second_row])}


def masked_row(dtype: Any) -> Subject:
    return _masked(models.MaskedAttention(dtype), 0, 0, 0, 0)


def masked_row_twin(dtype: Any) -> Subject:
    return _masked(models.MaskedAttention(dtype), 1, 0, 0, 0)


def sdpa_masked_row(dtype: Any) -> Subject:
    return _masked(models.MaskedSdpa(dtype), 0, 0, 0, 0)


def sdpa_masked_row_twin(dtype: Any) -> Subject:
    return _masked(models.MaskedSdpa(dtype), 1, 0, 0, 0)


def _sgd(rate: float) -> Subject:
    model = models.Regression()
    return model, models.numbers(), torch.optim.SGD(model.parameters(), lr=rate)


def exploding_rate() -> Subject:
    return _sgd(1e3)


def exploding_rate_twin() -> Subject:
    return _sgd(1e-2)


def _with_weight(value: float) -> Subject:
    model = models.language(torch.float32)
    with torch.no_grad():
        model.base_model.model.model.layers[0].mlp.gate_proj.weight[0, 0] = value
    return model, models.tokens()


def nan_weight() -> Subject:
    return _with_weight(float("nan"))


def nan_weight_twin() -> Subject:
    return _with_weight(0.5)


def infinite_weight() -> Subject:
    return _with_weight(float("inf"))


infinite_weight_twin = nan_weight_twin


def _with_input(value: float) -> Subject:
    batch = models.numbers()
    batch[0, 0] = value
    return models.Regression(), batch


def nan_input() -> Subject:
    return _with_input(float("nan"))


def nan_input_twin() -> Subject:
    return _with_input(0.5)


def infinite_input() -> Subject:
    return _with_input(float("inf"))


infinite_input_twin = nan_input_twin


def untouched_adapters() -> Subject:
    return models.ExtraLayer(used=False), models.numbers()


def untouched_adapters_twin() -> Subject:
    return models.ExtraLayer(used=True), models.numbers()


def all_bfloat16() -> Subject:
    return models.JoinsHalves(torch.bfloat16), models.numbers()


def all_bfloat16_twin() -> Subject:
    return models.Regression(torch.bfloat16), models.numbers()


def cast_cache() -> Subject:
    return models.TwoRegions(), models.numbers()


def cast_cache_twin() -> Subject:
    return models.Regression(), models.numbers()


def _start_scale_at(scale: float) -> None:
    """Let every GradScaler start at ``scale``, as a configuration that sets ``init_scale`` does."""
    from torch.amp import grad_scaler  # noqa: PLC0415 - torch 2.3 added it

    original = grad_scaler.GradScaler.__init__

    def start(self: Any, device: str = "cuda", **options: Any) -> None:
        original(self, device, **{"init_scale": scale, **options})

    grad_scaler.GradScaler.__init__ = start


def huge_scale() -> Subject:
    _start_scale_at(2.0**40)
    return models.Regression(), models.numbers()


def huge_scale_twin() -> Subject:
    _start_scale_at(2.0**16)
    return models.Regression(), models.numbers()


def _two_large_batches(scale: float, factor: float) -> Subject:
    _start_scale_at(scale)
    batch = models.numbers()
    return models.GrowsWithInput(), [batch * factor, batch * factor, batch]


def scale_at_zero() -> Subject:
    # The smallest float32 is 2**-149, so two skipped steps halve this scale to 0.
    return _two_large_batches(2.0**-148, 1e4)


def scale_at_zero_twin() -> Subject:
    return _two_large_batches(2.0**16, 1.0)


def _with_small_loss(divisor: float) -> Subject:
    model = models.ScaledLoss(1 / divisor)
    return model, models.numbers(), torch.optim.SGD(model.parameters(), lr=0.01 * divisor)


# These take a dtype and ignore it: the weights stay in float32, so that only autocast's computations lose precision.
def underflow(_dtype: Any) -> Subject:
    return _with_small_loss(1e8)


def underflow_twin(_dtype: Any) -> Subject:
    return _with_small_loss(1.0)


def backward_overflow(_dtype: Any) -> Subject:
    return models.ScaledLoss(3e6), models.numbers()


def backward_overflow_twin(_dtype: Any) -> Subject:
    return models.ScaledLoss(1.0), models.numbers()


def _adamw(dtype: Any, rate: float) -> Subject:
    model = models.Regression(dtype)
    return model, models.numbers(), torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)


def small_steps(dtype: Any) -> Subject:
    return _adamw(dtype, 1e-6)


def small_steps_twin(dtype: Any) -> Subject:
    return _adamw(dtype, 1e-2)


def _with_optimizer(*, stale: bool) -> Subject:
    model = models.Regression()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    if stale:
        for layer in (model.first, model.second):
            layer.weight = nn.Parameter(layer.weight.detach().clone())
            layer.bias = nn.Parameter(layer.bias.detach().clone())
    return model, models.numbers(), optimizer


def stale_optimizer() -> Subject:
    return _with_optimizer(stale=True)


def stale_optimizer_twin() -> Subject:
    return _with_optimizer(stale=False)


def disabled_adapters(dtype: Any) -> Subject:
    return models.DisabledAdapters(models.language(dtype)), models.tokens()


def disabled_adapters_twin(dtype: Any) -> Subject:
    return models.language(dtype), models.tokens()


def nothing_trainable() -> Subject:
    model = models.Regression()
    model.requires_grad_(False)  # noqa: FBT003 - torch's own signature
    return model, models.numbers()


def nothing_trainable_twin() -> Subject:
    return models.Regression(), models.numbers()


def logarithm_of_zero() -> Subject:
    return models.Logarithm(0.0), models.numbers()


def logarithm_of_zero_twin() -> Subject:
    return models.Logarithm(1.0), models.numbers()


def divide_by_zero() -> Subject:
    return models.DividedByNorm(0.0), models.numbers()


def divide_by_zero_twin() -> Subject:
    return models.DividedByNorm(1.0), models.numbers()


def _with_token(token: int) -> Subject:
    batch = models.tokens()
    batch["input_ids"][0, 0] = token
    return models.language(torch.float32), batch


def wrong_index() -> Subject:
    return _with_token(models.VOCABULARY)


def wrong_index_twin() -> Subject:
    return _with_token(models.FIRST_WORD)
