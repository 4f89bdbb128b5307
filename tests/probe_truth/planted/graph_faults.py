"""Faults of graphs, gradients, learning rates and batches; ``NAME_twin`` has the same code without the fault."""

from typing import Any, Dict

import torch
from torch import nn

from . import graph_models as graphs
from . import models
from .faults import Subject


def reentrant_part() -> Subject:
    return graphs.Checkpointed(reentrant=True, whole=False), models.numbers()


def reentrant_part_twin() -> Subject:
    return graphs.Checkpointed(reentrant=False, whole=False), models.numbers()


def reentrant_whole() -> Subject:
    return graphs.Checkpointed(reentrant=True, whole=True), models.numbers()


def reentrant_whole_twin() -> Subject:
    return graphs.FrozenTower(), models.numbers()


def _with(make: Any, rate: float) -> Subject:
    model = models.Regression()
    return model, models.numbers(), make(model.parameters(), lr=rate)


def rising_sgd() -> Subject:
    return _with(torch.optim.SGD, 2.2)


def rising_sgd_twin() -> Subject:
    return _with(torch.optim.SGD, 0.1)


def rising_adamw() -> Subject:
    return _with(torch.optim.AdamW, 1.0)


def rising_adamw_twin() -> Subject:
    return _with(torch.optim.AdamW, 1e-3)


def exploding_adamw(_dtype: Any) -> Subject:
    return _with(torch.optim.AdamW, 300.0)


def exploding_adamw_twin(_dtype: Any) -> Subject:
    return _with(torch.optim.AdamW, 1e-3)


def _relu(rate: float) -> Subject:
    model = graphs.Between(lambda states: torch.relu(states + 0.5))
    return model, models.numbers(), torch.optim.SGD(model.parameters(), lr=rate)


def zeros_after_explosion(dtype: Any) -> Subject:
    return _relu(0.05 if dtype is torch.float32 else 20.0)


def zeros_after_explosion_twin(_dtype: Any) -> Subject:
    return _relu(0.05)


def no_grad() -> Subject:
    return graphs.WithoutGradients(torch.no_grad, whole=True), models.numbers()


def no_grad_twin() -> Subject:
    return graphs.WithoutGradients(torch.enable_grad, whole=True), models.numbers()


def no_grad_in_part() -> Subject:
    return graphs.WithoutGradients(torch.no_grad, whole=False), models.numbers()


def no_grad_in_part_twin() -> Subject:
    return graphs.WithoutGradients(torch.enable_grad, whole=False), models.numbers()


def detached_loss() -> Subject:
    return graphs.Finally(lambda loss: torch.tensor(loss.item())), models.numbers()


def detached_loss_twin() -> Subject:
    return graphs.Finally(lambda loss: loss), models.numbers()


def detached_states() -> Subject:
    return graphs.Between(lambda states: states.detach()), models.numbers()


def detached_states_twin() -> Subject:
    return graphs.Between(lambda states: states), models.numbers()


def _exponential(*, in_place: bool) -> Any:
    def change(states: Any) -> Any:
        grown = torch.exp(states)
        # The backward pass of exp needs its result.
        return grown.mul_(0.5) if in_place else grown * 0.5

    return graphs.Between(change)


def changed_in_place() -> Subject:
    return _exponential(in_place=True), models.numbers()


def changed_in_place_twin() -> Subject:
    return _exponential(in_place=False), models.numbers()


def kept_graph() -> Subject:
    return graphs.Recurrent(detaches=False), models.numbers()


def kept_graph_twin() -> Subject:
    return graphs.Recurrent(detaches=True), models.numbers()


def _classes(*targets: int) -> Dict[str, Any]:
    return {"inputs": models.numbers(), "targets": torch.tensor(targets)}


def wrong_label() -> Subject:
    return graphs.Classifier(), _classes(1, 4)


def wrong_label_twin() -> Subject:
    return graphs.Classifier(), _classes(1, 3)


def no_label_counts() -> Subject:
    return graphs.Classifier(), _classes(models.IGNORED_LABEL, models.IGNORED_LABEL)


def no_label_counts_twin() -> Subject:
    return graphs.Classifier(), _classes(models.IGNORED_LABEL, 3)


def _chosen(*chosen: bool) -> Subject:
    return graphs.Selecting(), {"inputs": models.numbers(), "chosen": torch.tensor(chosen)}


def nothing_chosen() -> Subject:
    return _chosen(False, False)  # noqa: FBT003 - a mask


def nothing_chosen_twin() -> Subject:
    return _chosen(False, True)  # noqa: FBT003 - a mask


def single_row() -> Subject:
    return graphs.Normalized(), models.numbers()[:1]


def single_row_twin() -> Subject:
    return graphs.Normalized(), models.numbers()


def wrong_width() -> Subject:
    return models.Regression(), models.numbers()[:, 1:]


def wrong_width_twin() -> Subject:
    return models.Regression(), models.numbers()


def _divided(epsilon: float) -> Subject:
    return graphs.Between(lambda states: states + (states * 0.0) / ((states * 0.0).abs() + epsilon)), models.numbers()


def small_epsilon() -> Subject:
    return _divided(1e-8)


def small_epsilon_twin() -> Subject:
    return _divided(1e-3)


def own_mask() -> Subject:
    return graphs.Hidden(all_keys=True), models.numbers()


def own_mask_twin() -> Subject:
    return graphs.Hidden(all_keys=False), models.numbers()


def _root(floor: float) -> Subject:
    # The gradient of the root of 0 is infinite, and that of a square at 0 is 0: their product is NaN.
    return graphs.Between(lambda states: states + ((states * 0.0) ** 2 + floor).sqrt()), models.numbers()


def root_of_zero() -> Subject:
    return _root(0.0)


def root_of_zero_twin() -> Subject:
    return _root(1e-3)


def _adam(**options: float) -> Subject:
    model = graphs.Between(torch.relu)
    with torch.no_grad():
        model.first.bias[0] = -100.0
    return model, models.numbers(), torch.optim.Adam(model.parameters(), **options)


def zero_epsilon() -> Subject:
    return _adam(lr=1e-3, eps=0.0)


def zero_epsilon_twin() -> Subject:
    return _adam(lr=1e-3, eps=1e-8)


def infinite_rate() -> Subject:
    model, batch, optimizer = _with(torch.optim.SGD, 0.1)
    optimizer.param_groups[0]["lr"] = float("nan")
    return model, batch, optimizer


infinite_rate_twin = rising_sgd_twin


def zero_rate() -> Subject:
    return _with(torch.optim.SGD, 0.0)


zero_rate_twin = rising_sgd_twin


def _saturated(shift: float) -> Subject:
    model = graphs.Between(lambda states: torch.relu(states + shift))
    nn.init.zeros_(model.second.bias)
    model.second.bias.requires_grad_(requires_grad=False)
    return model, models.numbers(), torch.optim.SGD(model.parameters(), lr=0.1)


def saturated() -> Subject:
    return _saturated(-100.0)


def saturated_twin() -> Subject:
    return _saturated(1.0)


def _nested(value: float) -> Subject:
    pixels = models.numbers()
    pixels[0, 0] = value
    return graphs.Nested(), {"vision": {"pixels": pixels}}


def nan_within_batch() -> Subject:
    return _nested(float("nan"))


def nan_within_batch_twin() -> Subject:
    return _nested(0.5)


def nan_buffer() -> Subject:
    return graphs.Shifted(float("nan")), models.numbers()


def nan_buffer_twin() -> Subject:
    return graphs.Shifted(0.0), models.numbers()


def mask_buffer_and_logarithm() -> Subject:
    return graphs.Shifted(-float("inf"), floor=0.0), models.numbers()


def mask_buffer_and_logarithm_twin() -> Subject:
    return graphs.Shifted(-float("inf"), floor=1.0), models.numbers()
