"""The door ``peft.PrefixTuningConfig``: prefix tuning of a frozen model."""

from typing import Any, List, Optional

from . import prompt_kit

CONFIG = "PrefixTuningConfig"


def _train(kit: Any) -> List[Optional[float]]:
    # Whether it works with gradient checkpointing is another question: see `prefix_checkpointing.py`.
    kit.spec = kit.spec._replace(use=kit.spec.use._replace(checkpointing=""))
    return prompt_kit.train(kit, CONFIG)


DOOR = prompt_kit.door("prefix", "prefix tuning (peft)", CONFIG)._replace(train=_train)
