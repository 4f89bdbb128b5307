"""The door ``peft.PromptEncoderConfig``: p-tuning of a frozen model."""

from typing import Any, List, Optional

from ..shared.code_use import CodeUse
from . import Door, prompt_kit


def _load() -> None:
    prompt_kit.load("PromptEncoderConfig")


def _train(kit: Any) -> List[Optional[float]]:
    return prompt_kit.train(kit, "PromptEncoderConfig", encoder_hidden_size=16)


def _is_used(use: CodeUse) -> bool:
    return "PromptEncoderConfig" in use.prompts


DOOR = Door(
    name="p_tuning",
    title="p-tuning (peft)",
    modules=(),
    signs=(),
    load=_load,
    train=_train,
    fault="",
    needs_adapters=True,
    only_if_used=True,
    is_used=_is_used,
)
