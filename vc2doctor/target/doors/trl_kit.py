"""What the doors of trl share: how a trainer is found, configured and called in old and new releases."""

import importlib
from typing import Any, Dict, List, Optional

from . import Unavailable
from .arguments import accepted, first_accepted


def load(trainer: str, config: str) -> None:
    """Import a trainer of trl and its configuration.

    Raises:
        Unavailable: this release of trl has no such trainer.
    """
    trl = importlib.import_module("trl")
    if trainer not in dir(trl):
        raise Unavailable("trl %s has no %s" % (getattr(trl, "__version__", "(unknown)"), trainer))
    # Read the attributes: trl imports a trainer only when it is used.
    getattr(trl, trainer)
    if config in dir(trl):
        getattr(trl, config)


def train(kit: Any, trainer: str, config: str, rows: List[Dict[str, Any]], **more: Any) -> List[Optional[float]]:
    """Train on ``rows`` with the trainer of this name; ``more`` are arguments of it or of its configuration."""
    trl, datasets = importlib.import_module("trl"), importlib.import_module("datasets")
    trainer_class = getattr(trl, trainer)
    # Older releases have no class of their own for the configuration.
    config_class = getattr(trl, config) if config in dir(trl) else kit.runtime.transformers.TrainingArguments
    tokenizer = kit.tokenizer()
    keywords: Dict[str, Any] = {
        "model": kit.base(),
        "args": kit.arguments(config_class, **more),
        "train_dataset": datasets.Dataset.from_list(rows),
        # Newer releases compute the loss from the weights of lm_head directly, and refuse adapters on it.
        "peft_config": kit.lora(without=("lm_head",)) if kit.has_adapters else None,
        **first_accepted(trainer_class, ["processing_class", "tokenizer"], tokenizer),
        **accepted(trainer_class, more),
    }
    return list(kit.run_trainer(trainer_class(**keywords)))
