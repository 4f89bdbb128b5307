"""What the doors of peft's prompt learning share: tokens or prefixes that are trained before a frozen model."""

import importlib
from typing import Any, List, Optional

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
