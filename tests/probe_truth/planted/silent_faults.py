"""Faults that let every step run although it does not train the model, each with a clean twin."""

import random
from typing import Any, Callable

import torch
from torch import nn
from torch.nn import functional

from .faults import Subject
from .strangers import seeded, sequence

BLOCKS = 8


class Dropping(nn.Module):
    """Residual blocks that are skipped at random, as LayerDrop and stochastic depth do it."""

    def __init__(self, draw: Callable[[], float], *, unused: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(12, 12) for _ in range(BLOCKS))
        self.unused = nn.ModuleList(nn.Linear(12, 12) for _ in range(2 if unused else 0))
        self._draw = draw

    def forward(self, states: Any) -> Any:
        for block in self.blocks:
            if self._draw() < 0.5:
                states = states + torch.tanh(block(states))
        return (states**2).mean()


def dropped_and_unused() -> Subject:
    return Dropping(random.random, unused=True), sequence()


def dropped_and_unused_twin() -> Subject:
    return Dropping(random.random, unused=False), sequence()


def dropped_by_torch() -> Subject:
    return Dropping(lambda: float(torch.rand(())), unused=True), sequence()


def dropped_by_torch_twin() -> Subject:
    return Dropping(lambda: float(torch.rand(())), unused=False), sequence()


class Scored(nn.Module):
    """Scores a sequence by one number."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.body, self.value = nn.GRU(12, 12, batch_first=True), value

    def forward(self, states: Any) -> Any:
        score = self.value(self.body(states)[0][:, -1])[:, 0]
        return functional.mse_loss(score, torch.linspace(0.5, 1.5, len(states)))


def norm_over_one() -> Subject:
    return Scored(nn.Sequential(nn.Linear(12, 1), nn.LayerNorm(1))), sequence()


def norm_over_one_twin() -> Subject:
    return Scored(nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 1))), sequence()


class Quantized(nn.Module):
    """A layer with weights that are rounded in the forward pass."""

    def __init__(self, *, straight_through: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 12, bias=False)
        self._straight_through = straight_through

    def forward(self, states: Any) -> Any:
        weight = self.layer.weight
        rounded = torch.round(weight * 20) / 20
        used = weight + (rounded - weight).detach() if self._straight_through else rounded
        return ((states @ used.t() - states) ** 2).mean()


def rounded_weights() -> Subject:
    return Quantized(straight_through=False), sequence()


def rounded_weights_twin() -> Subject:
    return Quantized(straight_through=True), sequence()


class Regressed(nn.Module):
    """A regression with one prediction a row."""

    def __init__(self, loss: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.layers, self._loss = nn.Sequential(nn.Linear(12, 16), nn.GELU(), nn.Linear(16, 1)), loss

    def forward(self, features: Any, target: Any) -> Any:
        return self._loss(self.layers(features), target)


def _regressed(loss: Callable[[Any, Any], Any]) -> Subject:
    features = torch.randn((8, 12), generator=seeded())
    return Regressed(loss), {"features": features, "target": features.sum(dim=-1)}


def _squared(prediction: Any, target: Any) -> Any:
    return ((prediction - target) ** 2).mean()


def targets_without_a_column() -> Subject:
    return _regressed(functional.mse_loss)


def targets_without_a_column_twin() -> Subject:
    # One target for all predictions, as a discriminator has it: torch warns of it as well, and it is meant.
    return _regressed(lambda prediction, _: functional.mse_loss(prediction, torch.ones(1)))


def difference_without_a_column() -> Subject:
    return _regressed(_squared)


def difference_without_a_column_twin() -> Subject:
    def each_pair(prediction: Any, target: Any) -> Any:
        pairs = prediction - prediction[:, 0]
        return _squared(prediction[:, 0], target) + 1e-3 * (pairs**2).mean()

    return _regressed(each_pair)


def _scheduled(factor: Callable[[int], float], steps_before: int) -> Subject:
    model = Quantized(straight_through=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(steps_before):
        optimizer.step()
        scheduler.step()
    if not steps_before:
        optimizer.register_step_post_hook(lambda *_: scheduler.step())
    return model, sequence(), optimizer


def resumed_past_the_end() -> Subject:
    return _scheduled(lambda step: 1 - step / 10, 15)


def resumed_past_the_end_twin() -> Subject:
    return _scheduled(lambda step: max(0.3, 1 - step / 10), 15)


def growing_rate() -> Subject:
    return _scheduled(lambda step: 8.0**step, 0)


def growing_rate_twin() -> Subject:
    return _scheduled(lambda step: min(1.0, (step + 1) / 4), 0)


class Late(nn.Module):
    """Makes a layer in its forward pass."""

    def __init__(self, *, late: bool) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(12, 12), nn.Linear(12, 2)
        self.middle = None if late else nn.Linear(12, 12)
        self._late = late

    def forward(self, states: Any) -> Any:
        if self._late:
            self.middle = nn.Linear(12, 12)
        assert self.middle is not None
        return ((self.last(torch.tanh(self.middle(self.first(states)))) - 1.0) ** 2).mean()


def made_late() -> Subject:
    return Late(late=True), sequence()


def made_late_twin() -> Subject:
    return Late(late=False), sequence()


def _through_hook(factor: float) -> Subject:
    model = Quantized(straight_through=True)
    model.layer.weight.register_hook(lambda gradient: gradient * factor)
    return model, sequence()


def hook_returns_zero() -> Subject:
    return _through_hook(0.0)


def hook_returns_zero_twin() -> Subject:
    return _through_hook(0.5)
