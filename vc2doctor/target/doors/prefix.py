"""The door ``peft.PrefixTuningConfig``: prefix tuning of a frozen model."""

from typing import Any, List, Optional

from ..shared.code_use import CodeUse
from . import Door, prompt_kit


def _load() -> None:
    prompt_kit.load("PrefixTuningConfig")


def _train(kit: Any) -> List[Optional[float]]:
    # Whether it works with gradient checkpointing is another question: see `prefix_checkpointing.py`.
    kit.spec = kit.spec._replace(use=kit.spec.use._replace(checkpointing=""))
    return prompt_kit.train(kit, "PrefixTuningConfig")


def _is_used(use: CodeUse) -> bool:
    return "PrefixTuningConfig" in use.prompts


DOOR = Door(
    name="prefix",
    title="prefix tuning (peft)",
    modules=(),
    signs=(),
    load=_load,
    train=_train,
    fault="",
    needs_adapters=True,
    only_if_used=True,
    is_used=_is_used,
)
