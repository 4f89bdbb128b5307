"""Faults of sparse gradients, other dtypes, plain lists of layers, and of what half precision rounds, with twins."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .faults import Subject
from .strangers import seeded, sequence

ROWS = 200


class Recommended(nn.Module):
    """Scores pairs of users and items by the product of their embeddings."""

    def __init__(self, *, sparse: bool = True) -> None:
        super().__init__()
        self.users, self.items = (nn.Embedding(ROWS, 12, sparse=sparse) for _ in range(2))

    def forward(self, users: Any, items: Any) -> Any:
        score = (self.users(users) * self.items(items)).sum(-1)
        return functional.binary_cross_entropy_with_logits(score, (users % 2).float())


def _pairs() -> Any:
    return {name: torch.randint(0, ROWS, (8,), generator=seeded()) for name in ("users", "items")}


def _recommended(optimizer: Any, **options: Any) -> Subject:
    model = Recommended(**options)
    return model, _pairs(), optimizer(list(model.parameters()), lr=0.01)


def sparse_under_adamw() -> Subject:
    return _recommended(torch.optim.AdamW)


def sparse_under_adamw_twin() -> Subject:
    return _recommended(torch.optim.SparseAdam)


def dense_under_sparse_adam() -> Subject:
    return _recommended(torch.optim.SparseAdam, sparse=False)


def dense_under_sparse_adam_twin() -> Subject:
    # Few rows of a large table are in a batch, and the others do not move.
    return _recommended(torch.optim.Adam, sparse=False)


class Inserted(nn.Module):
    """Puts features into the places of a sequence that wait for them."""

    def __init__(self, *, casts: bool) -> None:
        super().__init__()
        self.embedding, self.project, self._casts = nn.Embedding(20, 12), nn.Linear(4, 12), casts

    def forward(self, ids: Any, features: Any) -> Any:
        states = self.embedding(ids).clone()
        projected = self.project(features)
        states[ids == 0] = projected.to(states.dtype) if self._casts else projected
        return ((states - 1.0) ** 2).mean()


def _inserted(*, casts: bool) -> Subject:
    return Inserted(casts=casts), {"ids": torch.arange(8), "features": torch.ones(1, 4)}


def inserted_in_bfloat16() -> Subject:
    return _inserted(casts=False)


def inserted_in_bfloat16_twin() -> Subject:
    return _inserted(casts=True)


class Matched(nn.Module):
    """Chooses by NumPy which prediction is compared."""

    def __init__(self, *, casts: bool) -> None:
        super().__init__()
        self.layer, self._casts = nn.Linear(12, 12), casts

    def forward(self, states: Any) -> Any:
        predicted = self.layer(states)
        cost = predicted.detach().abs().sum(-1)
        chosen = (cost.float() if self._casts else cost).numpy().argmin(-1)
        return ((predicted[torch.arange(len(states)), torch.from_numpy(chosen)] - 1.0) ** 2).mean()


def matched_in_numpy() -> Subject:
    return Matched(casts=False), sequence()


def matched_in_numpy_twin() -> Subject:
    return Matched(casts=True), sequence()


class Critic(nn.Module):
    """Adds the norm of the gradient of an attention to the loss."""

    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        self.project, self.head, self._fused = nn.Linear(12, 36, bias=False), nn.Linear(12, 1, bias=False), fused

    def _score(self, states: Any) -> Any:
        query, key, value = self.project(states)[:, None].chunk(3, dim=-1)
        if self._fused:
            mixed = functional.scaled_dot_product_attention(query, key, value)
        else:
            mixed = (query @ key.transpose(-1, -2) / 12**0.5).softmax(-1) @ value
        return self.head(mixed.mean((1, 2)))

    def forward(self, states: Any) -> Any:
        states = states.detach().requires_grad_(requires_grad=True)
        (slope,) = torch.autograd.grad(self._score(states).sum(), states, create_graph=True)
        return ((slope.flatten(1).norm(dim=1) - 1.0) ** 2).mean()


def penalty_of_fused_attention() -> Subject:
    return Critic(fused=True), sequence()


def penalty_of_fused_attention_twin() -> Subject:
    return Critic(fused=False), sequence()


class Listed(nn.Module):
    """Keeps layers and a frozen network in containers that ``parameters`` does not look into."""

    def __init__(self, make: Any, *, keeps_inputs: bool = False) -> None:
        super().__init__()
        self.first, self.last, self.layers = nn.Linear(12, 12), nn.Linear(12, 2), make()
        self._keeps = keeps_inputs
        self.seen: Any = None

    def forward(self, states: Any) -> Any:
        if self._keeps:
            # As a gradient penalty or a saliency map does it.
            states = states.detach().requires_grad_(requires_grad=True)
            self.seen = [states]
        states = self.first(states)
        for layer in self.layers:
            states = states + torch.tanh(layer(states))
        return ((self.last(states) - 1.0) ** 2).mean()


def _two_layers() -> Any:
    return [nn.Linear(12, 12) for _ in range(2)]


def layers_in_a_list() -> Subject:
    return Listed(_two_layers), sequence()


def layers_in_a_list_twin() -> Subject:
    return Listed(lambda: nn.ModuleList(_two_layers()), keeps_inputs=True), sequence()


class Scaled(nn.Module):
    """Multiplies by a tensor that requires a gradient."""

    def __init__(self, scale: Any) -> None:
        super().__init__()
        self.layer, self.options = nn.Linear(12, 2), {"scale": scale}
        # Parameters may stand in a list as well.
        self.scale = scale if isinstance(scale, nn.Parameter) else None

    def forward(self, states: Any) -> Any:
        return ((self.layer(states) * self.options["scale"] - 1.0) ** 2).mean()


def scale_in_a_dict() -> Subject:
    return Scaled(torch.ones(2, requires_grad=True)), sequence()


def scale_in_a_dict_twin() -> Subject:
    return Scaled(nn.Parameter(torch.ones(2))), sequence()


def teacher_in_training_mode() -> Subject:
    return Listed(lambda: [nn.Sequential(nn.Linear(12, 12), nn.Dropout(0.1))]), sequence()


def teacher_in_training_mode_twin() -> Subject:
    return Listed(lambda: [nn.Linear(12, 12).eval()]), sequence()


class Clocked(nn.Module):
    """Tells tokens apart by their positions, which are far from 0."""

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.table, self._dtype = nn.Linear(12, 12).requires_grad_(requires_grad=False), dtype
        self.head = nn.Linear(12, 5)
        # Without the positions, only the shares of the classes can be learned.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, states: Any) -> Any:
        positions = torch.arange(8000, 8000 + states.shape[-2]).to(self._dtype or self.table.weight.dtype).float()
        phases = torch.cos((positions[:, None] - 8000.0) * torch.arange(1.0, 13.0)).to(states.dtype)
        return functional.cross_entropy(self.head(phases).float(), torch.arange(len(phases)) % 5)


def positions_in_bfloat16() -> Subject:
    return _clocked(None)


def positions_in_bfloat16_twin() -> Subject:
    return _clocked(torch.float32)


def _clocked(dtype: Any) -> Subject:
    model = Clocked(dtype)
    return model, sequence(length=16), torch.optim.SGD(model.head.parameters(), lr=0.1)


def _clamped(*, early: bool) -> Subject:
    model = Listed(nn.ModuleList)
    for parameter in model.parameters():
        if early:
            parameter.register_hook(lambda gradient: gradient.clamp(-1.0, 1.0))
    return model, sequence(), torch.optim.SGD(model.parameters(), lr=0.1)


def clipped_before_unscaling() -> Subject:
    return _clamped(early=True)


def clipped_before_unscaling_twin() -> Subject:
    return _clamped(early=False)


class Rated(Recommended):
    """Predicts the rating 1 for each pair, from embeddings that start far too large."""

    def forward(self, users: Any, items: Any) -> Any:
        return (((self.users(users) * self.items(items)).sum(-1) * 900.0 - 1.0) ** 2).mean()


def _rated(rate: float) -> Subject:
    model = Rated()
    return model, _pairs(), torch.optim.SGD(model.parameters(), lr=rate)


def sparse_and_exploding() -> Subject:
    return _rated(0.1)


def sparse_and_exploding_twin() -> Subject:
    return _rated(1e-8)
