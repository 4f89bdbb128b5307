"""The door of prefix tuning with gradient checkpointing: a prefix is a cache of keys and values, and blocks drop it."""

from typing import Any, List, Optional

from ..shared.code_use import CodeUse
from . import prompt_kit
from .prefix import CONFIG


def _train(kit: Any) -> List[Optional[float]]:
    kit.switch_checkpointing_on()
    return prompt_kit.train(kit, CONFIG)


def _is_used(use: CodeUse) -> bool:
    return CONFIG in use.prompts and bool(use.checkpointing)


DOOR = prompt_kit.door("prefix_checkpointing", "prefix tuning with gradient checkpointing", CONFIG)._replace(
    train=_train,
    parent="prefix",
    is_used=_is_used,
    advice=(
        "Train the prefix without gradient checkpointing. peft from 0.14 on says itself that the two do not work"
        " together. Prompt tuning and LoRA do."
    ),
)
