"""Makes the optimizer of a recipe."""

import importlib
from typing import Any, Callable, List

from ..runtime import Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec


def make(runtime: Runtime, spec: Spec, recipe: Recipe, parameters: List[Any], rate: float) -> Any:
    """Return AdamW over ``parameters`` at the learning rate ``rate``, rounding as ``recipe`` says.

    Raises:
        ImportError: the installed torchao has no AdamW with stochastic rounding.
    """
    settings = {"lr": rate, "betas": spec.betas, "weight_decay": spec.weight_decay}
    if recipe.rounding == "stochastic":
        return _stochastic(runtime, parameters, settings)
    return runtime.torch.optim.AdamW(parameters, **settings)


def _stochastic(runtime: Runtime, parameters: List[Any], settings: Any) -> Any:
    # The name that torchao's own guide gives for this: torchao/optim/README.md, "Stochastic rounding for BF16 weight".
    make_optimizer = importlib.import_module("torchao.optim")._AdamW  # noqa: SLF001
    optimizer = make_optimizer(parameters, bf16_stochastic_round=True, **settings)
    optimizer.step = _uncompiled(runtime.torch, optimizer.step)
    return optimizer


def _uncompiled(torch: Any, step: Callable[[], Any]) -> Callable[[], Any]:
    """Return ``step`` without the compilation that it asks for: that takes minutes and a C++ compiler."""

    def run(*args: Any, **kwargs: Any) -> Any:
        with torch.compiler.set_stance("force_eager"):
            return step(*args, **kwargs)

    return run
