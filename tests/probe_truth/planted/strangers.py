"""Faults in models of other kinds, written before the probe was run on them, each with a clean twin."""

from typing import Any, Dict

import torch
from torch import nn
from torch.nn import functional

from .faults import Subject


def seeded() -> Any:
    return torch.Generator().manual_seed(3)


def _images(count: int = 4) -> Any:
    return torch.rand((count, 3, 8, 8), generator=seeded())


def sequence(rows: int = 3, length: int = 6, width: int = 12) -> Any:
    return torch.randn((rows, length, width), generator=seeded())


class Contrastive(nn.Module):
    """Pulls two views of an image together, as CLIP does."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.Flatten(), nn.Linear(8 * 36, 16))
        self.temperature = temperature

    def forward(self, images: Any) -> Any:
        one = functional.normalize(self.tower(images), dim=-1)
        other = functional.normalize(self.tower(images.flip(-1)), dim=-1)
        logits = one @ other.t() / self.temperature
        return functional.cross_entropy(logits, torch.arange(len(images)))


def temperature_zero() -> Subject:
    return Contrastive(0.0), _images()


def temperature_zero_twin() -> Subject:
    return Contrastive(0.5), _images()


class Variational(nn.Module):
    """A variational auto-encoder."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.encoder = nn.Linear(192, 16)
        self.decoder = nn.Linear(8, 192)
        with torch.no_grad():
            self.encoder.bias[8:] = start

    def forward(self, images: Any) -> Any:
        flat = images.flatten(1)
        mean, log_variance = self.encoder(flat).chunk(2, dim=-1)
        drawn = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).mean()
        return functional.mse_loss(self.decoder(drawn), flat) + 0.1 * divergence


def huge_variance() -> Subject:
    return Variational(200.0), _images()


def huge_variance_twin() -> Subject:
    return Variational(-2.0), _images()


class Attentive(nn.Module):
    """One attention layer with a mask that is made from lengths."""

    def __init__(self, scale: float = 1.0, *, shifted: bool = False) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(12, 12) for _ in range(4))
        self.scale, self.shifted = scale, shifted

    def forward(self, states: Any, lengths: Any) -> Any:
        place = torch.arange(states.shape[1])
        hidden = place[None, None, :] >= lengths[:, None, None]
        # Shifted by one place too many, the first query sees no key.
        hidden = hidden | (place[None, :, None] < place[None, None, :] + (1 if self.shifted else 0))
        scores = (self.query(states) * self.scale) @ (self.key(states) * self.scale).transpose(1, 2)
        weights = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1)
        return ((self.out(weights.to(states.dtype) @ self.value(states)) - states) ** 2).mean()


def _attentive(model: nn.Module) -> Subject:
    return model, {"states": sequence(), "lengths": torch.tensor([6, 4, 5])}


def shifted_causal_mask() -> Subject:
    return _attentive(Attentive(shifted=True))


def shifted_causal_mask_twin() -> Subject:
    return _attentive(Attentive())


def attention_logits() -> Subject:
    return _attentive(Attentive(scale=300.0))


def attention_logits_twin() -> Subject:
    return _attentive(Attentive(scale=0.5))


class Tagger(nn.Module):
    """An embedding, positions and a classifier for each token."""

    def __init__(self, positions: int, classes: int) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 12)
        self.places = nn.Embedding(positions, 12)
        self.classify = nn.Linear(12, classes)

    def forward(self, words: Any, tags: Any) -> Any:
        states = self.words(words) + self.places(torch.arange(words.shape[1]))
        logits = self.classify(states)
        return functional.cross_entropy(logits.flatten(0, 1), tags.flatten(), label_smoothing=0.1)


def _tags(largest: int) -> Dict[str, Any]:
    words = torch.randint(0, 20, (2, 7), generator=seeded())
    tags = torch.randint(0, 5, (2, 7), generator=seeded())
    tags[1, 2] = largest
    return {"words": words, "tags": tags}


def long_row() -> Subject:
    return Tagger(positions=6, classes=5), _tags(4)


def long_row_twin() -> Subject:
    return Tagger(positions=7, classes=5), _tags(4)


def classes_from_one() -> Subject:
    return Tagger(positions=7, classes=5), _tags(5)


def classes_from_one_twin() -> Subject:
    return Tagger(positions=7, classes=6), _tags(5)


class Distilled(nn.Module):
    """A student and a frozen teacher."""

    def __init__(self, *, asks_student: bool) -> None:
        super().__init__()
        self.student, self.teacher = nn.Linear(12, 4), nn.Linear(12, 4)
        self.teacher.requires_grad_(requires_grad=False)
        self._asks_student = asks_student

    def forward(self, states: Any) -> Any:
        answer = (self.student if self._asks_student else self.teacher)(states)
        return ((answer - self.teacher(states) - 0.5) ** 2).mean()


def teacher_alone() -> Subject:
    return Distilled(asks_student=False), sequence()


def teacher_alone_twin() -> Subject:
    return Distilled(asks_student=True), sequence()


class Gated(nn.Module):
    """A gated layer, which is written in place."""

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(12, 12), nn.Linear(12, 12)
        self._in_place = in_place

    def forward(self, states: Any) -> Any:
        gate = torch.sigmoid(self.gate(states))
        mixed = gate * self.up(states)
        if self._in_place:
            gate += 1.0
        return ((mixed + gate - states) ** 2).mean()


def gate_in_place() -> Subject:
    return Gated(in_place=True), sequence()


def gate_in_place_twin() -> Subject:
    return Gated(in_place=False), sequence()


class OwnSoftmax(nn.Module):
    """Writes log(softmax) itself."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.score = nn.Linear(12, 4)
        with torch.no_grad():
            self.score.bias.copy_(torch.tensor([0.0, spread, 0.0, 0.0]))

    def forward(self, states: Any) -> Any:
        scores = self.score(states)
        powers = torch.exp(scores.float() - scores.float().amax(dim=-1, keepdim=True)).to(scores.dtype)
        shares = powers / powers.sum(dim=-1, keepdim=True)
        return -torch.log(shares)[..., 0].float().mean()


def own_softmax() -> Subject:
    return OwnSoftmax(25.0), sequence()


def own_softmax_twin() -> Subject:
    return OwnSoftmax(2.0), sequence()


class Standardized(nn.Module):
    """Divides each feature by its deviation over the batch."""

    def __init__(self, floor: float) -> None:
        super().__init__()
        self.layer, self.floor = nn.Linear(12, 12), floor

    def forward(self, states: Any) -> Any:
        centered = states - states.mean(dim=0)
        return ((self.layer(centered / (states.std(dim=0) + self.floor)) - 1.0) ** 2).mean()


def constant_feature_of_rows() -> Any:
    states = torch.randn((5, 12), generator=seeded())
    states[:, 3] = 2.0
    return states


def constant_feature() -> Subject:
    return Standardized(0.0), constant_feature_of_rows()


def constant_feature_twin() -> Subject:
    return Standardized(1e-5), constant_feature_of_rows()


class Distances(nn.Module):
    """Keeps the distances between points."""

    def __init__(self, floor: float) -> None:
        super().__init__()
        self.project, self.floor = nn.Linear(12, 3), floor

    def forward(self, points: Any) -> Any:
        placed = self.project(points)
        squares = ((placed[:, None] - placed[None]) ** 2).sum(dim=-1)
        wanted = torch.cdist(points, points)
        return ((torch.sqrt(squares + self.floor) - wanted) ** 2).mean()


def distance_to_itself() -> Subject:
    return Distances(0.0), constant_feature_of_rows()


def distance_to_itself_twin() -> Subject:
    return Distances(1e-6), constant_feature_of_rows()
