"""The door of a training by ``transformers.Trainer`` that goes on from a checkpoint of its own."""

import importlib
import os
from typing import Any, List, Optional

from ..shared.code_use import CodeUse
from . import Door, Doubt


def _load() -> None:
    importlib.import_module("transformers.trainer")


def _train(kit: Any) -> List[Optional[float]]:
    losses = list(kit.run_trainer(_trainer(kit, max_steps=1, save_strategy="steps", save_steps=1)))
    trainer = _trainer(kit, max_steps=2)
    try:
        resumed = kit.run_trainer(trainer, os.path.join(_folder(kit), "checkpoint-1"))
    except Exception as error:
        if kit.spec.use.resumes == "does":
            raise
        reason = str(error).strip().splitlines()[:1]
        message = "a run cannot go on from its own checkpoint: %s: %s" % (type(error).__name__, "".join(reason))
        raise Doubt(message, losses) from error
    return losses + list(resumed)


def _trainer(kit: Any, **more: Any) -> Any:
    transformers = kit.runtime.transformers
    arguments = kit.arguments(transformers.TrainingArguments, output_dir=_folder(kit), **more)
    return transformers.Trainer(model=kit.adapted(), args=arguments, train_dataset=kit.rows())


def _folder(kit: Any) -> str:
    return os.path.join(kit.folder, "resume")


def _is_used(use: CodeUse) -> bool:
    return use.uses_trainer and bool(use.resumes)


DOOR = Door(
    name="resume",
    title="transformers.Trainer that resumes from a checkpoint",
    modules=("accelerate",),
    load=_load,
    train=_train,
    parent="trainer",
    only_if_used=True,
    is_used=_is_used,
    advice="Take transformers 4.49 or newer, or start the training anew: do not count on its checkpoints.",
)
"""transformers loads the random state of a checkpoint by torch.load. torch 2.6 allows no NumPy state there by default:
https://github.com/huggingface/transformers/issues/34631. 4.46.2 fails with torch 2.13.0, and 4.47.1, 4.48.3 and 4.49.0
go on (measured).
"""
