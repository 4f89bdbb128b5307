"""The door ``peft.PromptTuningConfig``: prompt tuning of a frozen model."""

from typing import Any, List, Optional

from ..shared.code_use import CodeUse
from . import Door, prompt_kit


def _load() -> None:
    prompt_kit.load("PromptTuningConfig")


def _train(kit: Any) -> List[Optional[float]]:
    return prompt_kit.train(kit, "PromptTuningConfig")


def _is_used(use: CodeUse) -> bool:
    return "PromptTuningConfig" in use.prompts


DOOR = Door(
    name="prompt",
    title="prompt tuning (peft)",
    modules=(),
    signs=(),
    load=_load,
    train=_train,
    fault="",
    needs_adapters=True,
    only_if_used=True,
    is_used=_is_used,
)
