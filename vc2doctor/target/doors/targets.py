"""The door of the ``target_modules`` that the code names: do they match modules of the architecture that it names?"""

import importlib
import re
from typing import Any, List, Optional

from ..shared.code_use import CodeUse
from . import Door, Doubt, Unavailable

_NUMBER = re.compile(r"\d")
_IN_PATTERNS = re.compile(r"[*+?\[\](){}|^$\\]")
"""Characters that no name of a module has."""


def _load() -> None:
    importlib.import_module("peft").LoraConfig  # noqa: B018 - a lazy attribute is imported when it is read


def _train(kit: Any) -> List[Optional[float]]:
    use = kit.spec.use
    if not use.targets:
        raise Unavailable("no target_modules are written out in your code")
    base = kit.whole_base()
    targets = use.targets[0] if use.is_pattern else list(use.targets)
    config = kit.runtime.peft.LoraConfig(task_type=kit.runtime.peft.TaskType.CAUSAL_LM, r=4, target_modules=targets)
    try:
        model = kit.runtime.peft.get_peft_model(base, config)
    except ValueError as error:
        if any(_NUMBER.search(target) for target in use.targets):
            # The miniature has two layers, and the pattern may mean others.
            message = "the target_modules of your code have numbers, and the small model has two layers only"
            raise Unavailable(message) from error
        raise
    losses = list(kit.train_loop(kit.watch(model)))
    patterns = [target for target in use.targets if _IN_PATTERNS.search(target) and not use.is_pattern]
    if patterns:
        # https://huggingface.co/docs/peft/package_reference/lora#peft.LoraConfig.target_modules
        raise Doubt("%r stands in a list, so peft takes it for a name, and no module has it" % patterns[0], losses)
    return losses


def _is_used(use: CodeUse) -> bool:
    return use.adapts_model and bool(use.targets)


DOOR = Door(
    name="targets",
    title="get_peft_model with the target_modules of your code",
    load=_load,
    train=_train,
    needs_adapters=True,
    only_if_used=True,
    is_used=_is_used,
    needs_architecture=True,
    advice="Pass a pattern as one string, not in a list, and names that the modules of your model have.",
)
