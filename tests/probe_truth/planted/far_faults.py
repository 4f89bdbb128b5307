"""Faults that break a step far from their place, each with a clean twin."""

import random
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from .faults import Subject
from .silent_faults import BLOCKS, Quantized, Regressed
from .strangers import seeded, sequence


class Recomputed(nn.Module):
    """A checkpointed block that is skipped at random."""

    def __init__(self, *, inside: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(12, 12) for _ in range(BLOCKS))
        self._inside = inside

    def forward(self, states: Any) -> Any:
        for block in self.blocks:
            chosen = None if self._inside else random.random() < 0.5  # noqa: S311
            states = checkpoint(self._run, block, states, chosen, use_reentrant=False)
        return (states**2).mean()

    @staticmethod
    def _run(block: Any, states: Any, chosen: Any) -> Any:
        runs = random.random() < 0.5 if chosen is None else chosen  # noqa: S311
        return states + torch.tanh(block(states)) if runs else states


def drawn_in_a_checkpoint() -> Subject:
    return Recomputed(inside=True), sequence()


def drawn_in_a_checkpoint_twin() -> Subject:
    return Recomputed(inside=False), sequence()


class Counted(nn.Module):
    """Divides a sum by a count of 70000, which float16 does not hold."""

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.layer, self._dtype = nn.Linear(12, 2), dtype

    def forward(self, states: Any) -> Any:
        losses = ((self.layer(states) - 1.0) ** 2).float().mean(dim=(1, 2))
        counts = torch.full((len(states), 70_000 // len(states)), 1.0, dtype=self._dtype or self.layer(states).dtype)
        return losses.sum() / counts.sum()


def count_in_float16() -> Subject:
    return Counted(None), sequence(rows=5)


def count_in_float16_twin() -> Subject:
    return Counted(torch.float32), sequence(rows=5)


class Masked(nn.Module):
    """Adds a constant of its own where the mask hides something."""

    def __init__(self, constant: float) -> None:
        super().__init__()
        self.frozen, self.head = nn.Linear(12, 12), nn.Linear(12, 2)
        self.frozen.requires_grad_(requires_grad=False)
        self.register_buffer("hidden", torch.tensor(constant))

    def forward(self, states: Any) -> Any:
        keep = torch.ones(states.shape[:2])
        keep[0, 3:] = 0.0
        mixed = self.frozen(states.to(self.frozen.weight.dtype))
        scores = mixed @ mixed.transpose(-1, -2)
        scores = scores + (1 - keep[:, None]).to(scores.dtype) * self.hidden
        return ((self.head((scores.softmax(dim=-1) @ mixed).float()) - 1.0) ** 2).mean()


def _masked(constant: float, dtype: Any) -> Subject:
    model = Masked(constant).to(dtype)
    model.head.float()
    return model, sequence()


def mask_beyond_float16(dtype: Any) -> Subject:
    return _masked(-1e9, dtype)


def mask_beyond_float16_twin(dtype: Any) -> Subject:
    return _masked(-1e4, dtype)


class Denoised(nn.Module):
    """Divides by the square root of 1 - a, for an a near 1."""

    def __init__(self, *, stored: bool) -> None:
        super().__init__()
        kept = torch.tensor([0.9995, 0.9, 0.5])
        self.register_buffer("kept", kept)
        self.register_buffer("lost", 1 - kept)
        self.layer, self._stored = nn.Linear(12, 12), stored

    def forward(self, states: Any) -> Any:
        lost = self.lost if self._stored else 1 - self.kept
        error = self.layer(states) - states
        return ((error / lost.sqrt()[:, None, None]) ** 2).mean()


def _denoised(dtype: Any, *, stored: bool) -> Subject:
    model = Denoised(stored=stored).to(dtype)
    model.layer.float()
    return model, sequence()


def variance_rounds_to_zero(dtype: Any) -> Subject:
    return _denoised(dtype, stored=False)


def variance_rounds_to_zero_twin(dtype: Any) -> Subject:
    return _denoised(dtype, stored=True)


class Started(nn.Module):
    """A product whose second factor starts at 0, as that of an adapter does."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Parameter(torch.full((12, 2), 0.1)), nn.Parameter(torch.zeros(2, 12))

    def forward(self, states: Any) -> Any:
        return ((states @ self.down @ self.up - states) ** 2).mean()


def _hooked(epsilon: float) -> Subject:
    model = Started()
    for parameter in model.parameters():
        parameter.register_hook(lambda gradient: gradient / (gradient.norm() + epsilon))
    return model, sequence()


def hook_divides_by_zero() -> Subject:
    return _hooked(0.0)


def hook_divides_by_zero_twin() -> Subject:
    return _hooked(1e-6)


class OwnAdam(torch.optim.Optimizer):
    """Adam that counts its steps after or before it corrects the bias of its mean."""

    def __init__(self, parameters: Any, first: int) -> None:
        super().__init__(parameters, {"lr": 1e-2})
        self._count = first

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Any = None) -> None:
        del closure
        for parameter in self.param_groups[0]["params"]:
            mean = self.state[parameter].setdefault("mean", torch.zeros_like(parameter))
            mean.lerp_(parameter.grad, 0.1)
            corrected = mean / (1 - 0.9**self._count)
            parameter.sub_(corrected, alpha=self.param_groups[0]["lr"])
        self._count += 1


def _own_adam(first: int) -> Subject:
    model = Quantized(straight_through=True)
    return model, sequence(), OwnAdam(model.parameters(), first)


def first_step_is_zero() -> Subject:
    return _own_adam(0)


def first_step_is_zero_twin() -> Subject:
    return _own_adam(1)


class OwnProduct(torch.autograd.Function):
    """A product with a backward pass of its own, which runs outside of autocast."""

    @staticmethod
    def forward(ctx: Any, states: Any, weight: Any) -> Any:
        ctx.save_for_backward(states, weight)
        return states @ weight.t()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        states, weight = ctx.saved_tensors
        return gradient @ weight, gradient.t() @ states


class CastProduct(OwnProduct):
    """The same, with the dtype of the weight in the backward pass."""

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return OwnProduct.backward(ctx, gradient.to(ctx.saved_tensors[1].dtype))


class Projected(nn.Module):
    """Uses a product with a backward pass of its own between two layers."""

    def __init__(self, product: Any) -> None:
        super().__init__()
        self.layer, self.weight, self._product = nn.Linear(12, 12), nn.Parameter(torch.eye(12)), product

    def forward(self, states: Any) -> Any:
        hidden = self.layer(states.flatten(0, 1)).float()
        return ((self._product.apply(hidden, self.weight).float() - 1.0) ** 2).mean()


def backward_outside() -> Subject:
    return Projected(OwnProduct), sequence()


def backward_outside_twin() -> Subject:
    return Projected(CastProduct), sequence()


class Tied(nn.Module):
    """A language model whose head may be its embedding."""

    def __init__(self, *, tied: bool) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(20, 12), nn.Linear(12, 20, bias=False)
        if tied:
            self.head.weight = self.embedding.weight
        self.head.requires_grad_(requires_grad=True)
        self.embedding.requires_grad_(requires_grad=False)

    def forward(self, ids: Any) -> Any:
        return functional.cross_entropy(self.head(self.embedding(ids)).flatten(0, 1), ids.roll(1, 1).flatten())


def frozen_with_its_twin() -> Subject:
    return Tied(tied=True), {"ids": torch.arange(12).reshape(2, 6)}


def frozen_with_its_twin_twin() -> Subject:
    return Tied(tied=False), {"ids": torch.arange(12).reshape(2, 6)}


class Backbone(nn.Module):
    """A frozen backbone with a head that is trained."""

    def __init__(self, mode: Any) -> None:
        super().__init__()
        self.backbone, self.head, self._mode = (
            nn.Linear(12, 12).requires_grad_(requires_grad=False),
            nn.Linear(12, 2),
            mode,
        )

    def forward(self, states: Any) -> Any:
        with self._mode():
            hidden = self.backbone(states)
        return ((self.head(hidden) - 1.0) ** 2).mean()


def inference_backbone() -> Subject:
    return Backbone(torch.inference_mode), sequence()


def inference_backbone_twin() -> Subject:
    return Backbone(torch.no_grad), sequence()


def _classified(dtype: Any) -> Subject:
    features = torch.randn((8, 12), generator=seeded())
    model = Regressed(
        lambda prediction, target: functional.cross_entropy(prediction.expand(-1, 3) * torch.arange(3.0), target)
    )
    return model, {"features": features, "target": (torch.arange(8) % 3).to(dtype)}


def labels_in_float() -> Subject:
    return _classified(torch.float32)


def labels_in_float_twin() -> Subject:
    return _classified(torch.int64)
