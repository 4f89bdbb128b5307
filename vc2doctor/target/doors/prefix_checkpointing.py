"""The door of prefix tuning with gradient checkpointing: a prefix is a cache of keys and values, and blocks drop it."""

from typing import Any, List, Optional

from ..shared.code_use import CodeUse
from . import Door, prompt_kit


def _load() -> None:
    prompt_kit.load("PrefixTuningConfig")


def _train(kit: Any) -> List[Optional[float]]:
    kit.switch_checkpointing_on()
    return prompt_kit.train(kit, "PrefixTuningConfig")


def _is_used(use: CodeUse) -> bool:
    return "PrefixTuningConfig" in use.prompts and bool(use.checkpointing)


DOOR = Door(
    name="prefix_checkpointing",
    title="prefix tuning with gradient checkpointing",
    modules=(),
    signs=(),
    load=_load,
    train=_train,
    fault="",
    parent="prefix",
    needs_adapters=True,
    only_if_used=True,
    is_used=_is_used,
    advice=(
        "Train the prefix without gradient checkpointing. peft from 0.14 on says itself that the two do not work"
        " together. Prompt tuning and LoRA do."
    ),
)
