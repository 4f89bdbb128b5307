"""What the trainer of transformers passes to its own methods only where a certain engine runs it.

The table of signatures keeps what each method passes, and not the branch in which it does. Source:
``transformers/trainer.py`` of 4.20.0 to 5.24.0. ``create_optimizer(model)`` and ``_load_from_checkpoint(path, model)``
are under FSDP and SageMaker; ``_save(folder, state_dict=...)`` is under FSDP and DeepSpeed.
"""

from collections.abc import Mapping

ENGINES: Mapping[tuple[str, str], str] = {
    ("create_optimizer", "1"): "FSDP or SageMaker",
    ("_load_from_checkpoint", "2"): "FSDP or SageMaker",
    ("_save", "state_dict"): "FSDP or DeepSpeed",
}
"""The method and what it is passed (a keyword, or the number of arguments by position) -> the engines that do so."""


def engine_of(method: str, passed: str) -> str:
    """Return the engines under which a method is passed something; empty text: under all, as far as is known."""
    return ENGINES.get((method, passed), "")
