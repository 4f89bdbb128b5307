"""What the doors of peft's prompt learning share: tokens or prefixes that are trained before a frozen model."""

import importlib
from typing import Any, List, Optional

from ..shared.code_use import CodeUse
from . import Door

TOKENS = 4
"""Virtual tokens: enough to train, and few enough for the rows of the kit."""


def load(config: str) -> None:
    """Import the configuration class ``config`` of peft."""
    getattr(importlib.import_module("peft"), config)


def train(kit: Any, config: str, **more: Any) -> List[Optional[float]]:
    """Train with the configuration class ``config``, and gradient checkpointing where the user's code has it."""
    peft = kit.runtime.peft
    configuration = getattr(peft, config)(task_type=peft.TaskType.CAUSAL_LM, num_virtual_tokens=TOKENS, **more)
    return list(kit.train_as_used(kit.adapted_as_used(kit.language_base(), configuration)))


def door(name: str, title: str, config: str, **more: Any) -> Door:
    """Return the door of the configuration class ``config``, which gets the keywords ``more`` as well."""

    def _train(kit: Any) -> List[Optional[float]]:
        return train(kit, config, **more)

    def _is_used(use: CodeUse) -> bool:
        return config in use.prompts

    return Door(
        name=name,
        title=title,
        load=lambda: load(config),
        train=_train,
        needs_adapters=True,
        only_if_used=True,
        is_used=_is_used,
    )
