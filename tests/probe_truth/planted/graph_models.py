"""Models whose graph, gradients or batches have one property each, for the faults of graph_faults.py."""

from typing import Any, Callable, Optional

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from .models import IGNORED_LABEL, WIDTH, Regression


class Checkpointed(Regression):
    """Runs its first layer, or both layers, under gradient checkpointing."""

    def __init__(self, *, reentrant: bool, whole: bool) -> None:
        super().__init__()
        self._reentrant, self._whole = reentrant, whole

    def _run(self, layer: Any, states: Any) -> Any:
        return checkpoint(layer, states, use_reentrant=self._reentrant)

    def forward(self, inputs: Any) -> Any:
        """Return the loss on ``inputs``, of shape (rows, width)."""
        states = self._run(self.first, inputs)
        states = self._run(self.second, states) if self._whole else self.second(states)
        return ((states - 1) ** 2).mean()


class FrozenTower(Regression):
    """Has a frozen first part under reentrant checkpointing, which loses nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Linear(WIDTH, WIDTH).requires_grad_(requires_grad=False)

    def forward(self, inputs: Any) -> Any:
        """Return the loss on ``inputs``, of shape (rows, width)."""
        return super().forward(checkpoint(self.tower, inputs, use_reentrant=True))


class Between(Regression):
    """Changes the output of the first layer by any function."""

    def __init__(self, change: Callable[[Any], Any], dtype: Any = torch.float32) -> None:
        super().__init__(dtype)
        self.change = change

    def between(self, states: Any) -> Any:
        """Return the changed states."""
        return self.change(states)


class Finally(Regression):
    """Changes the loss by any function."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        super().__init__()
        self.change = change

    def forward(self, inputs: Any) -> Any:
        """Return the loss on ``inputs``, of shape (rows, width)."""
        return self.change(super().forward(inputs))


class WithoutGradients(Regression):
    """Runs its first layer, or all of it, while gradients are switched off."""

    def __init__(self, region: Callable[[], Any], *, whole: bool) -> None:
        super().__init__()
        self._region, self._whole = region, whole

    def forward(self, inputs: Any) -> Any:
        """Return the loss on ``inputs``, of shape (rows, width)."""
        with self._region():
            if self._whole:
                return super().forward(inputs)
            states = self.first(inputs)
        return ((self.second(states.clone()) - 1) ** 2).mean()


class Classifier(nn.Module):
    """Two layers and a cross entropy over the classes ``targets``."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.second = nn.Linear(WIDTH, classes)

    def forward(self, inputs: Any, targets: Any) -> Any:
        """Return the loss on ``inputs`` (rows, width) with ``targets`` (rows,)."""
        logits = self.second(torch.tanh(self.first(inputs)))
        return functional.cross_entropy(logits, targets, ignore_index=IGNORED_LABEL)


class Selecting(Regression):
    """Averages over the rows that a mask of the batch selects."""

    def forward(self, inputs: Any, chosen: Any = None) -> Any:
        """Return the loss on the rows ``chosen`` of ``inputs`` (rows, width)."""
        return ((self.second(self.first(inputs[chosen])) - 1) ** 2).mean()


class Recurrent(Regression):
    """Keeps its state from one step to the next."""

    def __init__(self, *, detaches: bool) -> None:
        super().__init__()
        self._detaches = detaches
        self._state: Optional[Any] = None

    def between(self, states: Any) -> Any:
        """Add a tenth of the state of the step before."""
        states = states if self._state is None else states + 0.1 * self._state
        self._state = states.detach() if self._detaches else states
        return states


class Normalized(Regression):
    """Normalizes over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(WIDTH)

    def between(self, states: Any) -> Any:
        """Return the normalized states."""
        return self.norm(states)


class Shifted(Regression):
    """Adds a buffer, and takes a logarithm of what a ReLU and a floor leave."""

    def __init__(self, value: float, floor: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("shift", torch.full((WIDTH,), value))
        self.floor = floor

    def between(self, states: Any) -> Any:
        """Return the logarithm; a shift of -inf is a mask that hides an element of no row."""
        shift = torch.where(torch.isinf(self.shift), torch.zeros_like(self.shift), self.shift)
        kept = self.shift if bool(torch.isnan(self.shift).any()) else shift
        return torch.log(functional.relu(states + kept) + self.floor)


class Nested(Regression):
    """Takes a batch within a batch."""

    def forward(self, vision: Any) -> Any:
        """Return the loss on ``vision["pixels"]``, of shape (rows, width)."""
        return super().forward(vision["pixels"])


class Hidden(Regression):
    """Attends with a mask of its own, which can hide every key of the first row."""

    def __init__(self, *, all_keys: bool) -> None:
        super().__init__()
        self._all_keys = all_keys

    def between(self, states: Any) -> Any:
        """Return the mixed states."""
        scores = states @ states.t()
        hidden = torch.zeros_like(scores, dtype=torch.bool)
        hidden[0, 0 if not self._all_keys else slice(None)] = True
        return scores.masked_fill(hidden, -float("inf")).softmax(dim=-1) @ states
