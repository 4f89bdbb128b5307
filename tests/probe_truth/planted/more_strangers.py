"""More faults in models of other kinds, written before the probe was run on them, each with a clean twin."""

from typing import Any, Dict

import torch
from torch import nn
from torch.nn import functional

from . import models
from .faults import Subject
from .strangers import constant_feature_of_rows, seeded, sequence


class Table(nn.Module):
    """A regression on a table."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(12, 24), nn.Tanh(), nn.Linear(24, 1))

    def forward(self, features: Any, target: Any) -> Any:
        return functional.smooth_l1_loss(self.layers(features)[:, 0], target)


def _table(missing: float) -> Dict[str, Any]:
    target = torch.rand(5, generator=seeded())
    target[2] = missing
    return {"features": constant_feature_of_rows(), "target": target}


def missing_target() -> Subject:
    return Table(), _table(float("nan"))


def missing_target_twin() -> Subject:
    return Table(), _table(0.0)


def scaled_by_zero() -> Subject:
    batch = _table(0.5)
    batch["features"] = (batch["features"] - 1.0) / batch["features"].std(dim=0)
    return Table(), batch


def scaled_by_zero_twin() -> Subject:
    batch = _table(0.5)
    batch["features"] = (batch["features"] - 1.0) / (batch["features"].std(dim=0) + 1e-6).clamp(min=0.1)
    return Table(), batch


def double_features() -> Subject:
    batch = _table(0.5)
    batch["features"] = batch["features"].double()
    return Table(), batch


double_features_twin = missing_target_twin


def _deep(rate: float, optimizer: Any, **options: float) -> Subject:
    model = nn.Sequential(*(nn.Linear(12, 12) for _ in range(4)))

    class Deep(nn.Module):
        """A deep linear network."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = model

        def forward(self, states: Any) -> Any:
            return ((self.layers(states) - states) ** 2).mean()

    deep = Deep()
    return deep, sequence(), optimizer(deep.parameters(), lr=rate, **options)


def deep_momentum() -> Subject:
    return _deep(30.0, torch.optim.SGD, momentum=0.9)


def deep_momentum_twin() -> Subject:
    return _deep(0.01, torch.optim.SGD, momentum=0.9)


def deep_adam() -> Subject:
    return _deep(0.7, torch.optim.Adam)


def deep_adam_twin() -> Subject:
    return _deep(1e-3, torch.optim.Adam)


class Chooser(nn.Module):
    """Chooses an option, and gets a reward."""

    def __init__(self, *, softly: bool) -> None:
        super().__init__()
        self.score = nn.Linear(12, 4)
        self._softly = softly

    def forward(self, states: Any) -> Any:
        scores, value = self.score(states), torch.arange(4.0)
        chosen = scores.softmax(dim=-1) @ value if self._softly else value[scores.argmax(dim=-1)]
        return ((chosen - 3.0) ** 2).mean()


def hard_choice() -> Subject:
    return Chooser(softly=False), sequence()


def hard_choice_twin() -> Subject:
    return Chooser(softly=True), sequence()


class Extracted(nn.Module):
    """A feature extractor with a head."""

    def __init__(self, *, decorated: bool) -> None:
        super().__init__()
        self.features, self.head = nn.Linear(12, 12), nn.Linear(12, 2)
        self._extract = torch.no_grad()(self._plain) if decorated else self._plain

    def _plain(self, states: Any) -> Any:
        return torch.tanh(self.features(states))

    def forward(self, states: Any) -> Any:
        return ((self.head(self._extract(states)) - 1.0) ** 2).mean()


def decorated_extractor() -> Subject:
    return Extracted(decorated=True), sequence()


def decorated_extractor_twin() -> Subject:
    return Extracted(decorated=False), sequence()


class MaskedMean(nn.Module):
    """Averages the losses of the tokens that count."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 12)

    def forward(self, states: Any, counts: Any) -> Any:
        losses = ((self.layer(states) - states) ** 2).mean(dim=-1)
        return (losses * counts).sum() / counts.sum()


def _counted(share: float) -> Subject:
    return MaskedMean(), {"states": sequence(), "counts": torch.full((3, 6), share)}


def no_token_counts() -> Subject:
    return _counted(0.0)


def no_token_counts_twin() -> Subject:
    return _counted(1.0)


class ZeroStarted(nn.Module):
    """Two factors that start at 0, as a wrongly initialized adapter does."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.full((12, 2), start))
        self.up = nn.Parameter(torch.zeros(2, 12))

    def forward(self, states: Any) -> Any:
        return ((states @ self.down @ self.up - states) ** 2).mean()


def both_factors_zero() -> Subject:
    return ZeroStarted(0.0), sequence()


def both_factors_zero_twin() -> Subject:
    return ZeroStarted(0.1), sequence()


class HalfSum(nn.Module):
    """Sums many positive numbers before it divides."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.layer, self.size = nn.Linear(12, 12), size

    def forward(self, states: Any) -> Any:
        positive = self.layer(states).abs() * self.size
        return (positive.sum(dim=(1, 2)) / 72.0 / self.size).float().mean()


def sum_before_mean() -> Subject:
    return HalfSum(5e3), sequence()


def sum_before_mean_twin() -> Subject:
    return HalfSum(1.0), sequence()


def _checkpointed_language(*, reentrant: bool) -> Subject:
    model = models.language(torch.float32)
    base = model.get_base_model()
    base.config.use_cache = False
    base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
    if hasattr(base, "_require_grads_hook"):
        # transformers 5 lets gradients pass the frozen embeddings by itself, older releases do not.
        model.disable_input_require_grads()
    return model, models.tokens()


def checkpointed_language() -> Subject:
    return _checkpointed_language(reentrant=True)


def checkpointed_language_twin() -> Subject:
    return _checkpointed_language(reentrant=False)
