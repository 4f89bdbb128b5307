"""Reads DeepSpeed's own configuration, and the flag that names it.

https://www.deepspeed.ai/docs/config-json/
"""

from vc2doctor.linter.read.config import Config, Launch
from vc2doctor.linter.read.launchers import Launcher
from vc2doctor.linter.read.run_settings import (
    Keys,
    Precision,
    RunSettings,
    Setting,
    keys_of_config,
    keys_of_flags,
    only,
)

BLOCKS: dict[str, Precision] = {"fp16": "fp16", "bf16": "bf16", "bfloat16": "bf16"}
"""The blocks that turn a precision on; ``bfloat16`` is the older name."""
_OWN_KEYS = ("train_batch_size", "train_micro_batch_size_per_gpu", "zero_allow_untested_optimizer")
_NEOX_KEYS = (("pipe_parallel_size", "pipe-parallel-size"), ("train_iters", "train-iters"))
"""Keys of GPT-NeoX at the top level, in both spellings."""
_OWN_BLOCKS = ("zero_optimization.", "fp16.", "bf16.", "bfloat16.")


def is_deepspeed(config: Config) -> bool:
    """Return whether a JSON or YAML file is DeepSpeed's configuration.

    The files of GPT-NeoX have the same blocks, and are read by its own code, which asks DeepSpeed for a part of them.
    """
    keys = keys_of_config(config)
    is_of_neox = any(keys.has_any(*names) for names in _NEOX_KEYS)
    return (
        config.kind in ("json", "yaml")
        and not is_of_neox
        and (
            any(key.startswith("zero_optimization.") for key in keys)
            or (keys.has_any(*_OWN_KEYS) and any(key.startswith(_OWN_BLOCKS) for key in keys))
            or (config.kind == "json" and keys.has_any(*_OWN_KEYS) and "steps_per_print" in keys)
        )
    )


def line_of_half_block(config: Config, precision: Precision | None = None) -> int:
    """Return the line of the block that makes the engine compute in a half precision; 1 if there is none.

    A block that is on counts more than one that a run decides ("auto"). Of several, it is the block of the
    ``precision`` that the run asks for.
    """
    switches = [(entry, kind) for block, kind in BLOCKS.items() if (entry := config.find(f"{block}.enabled"))]
    chosen = [(entry, kind) for value in (True, "auto") for entry, kind in switches if entry.value == value]
    ordered = sorted(chosen, key=lambda each: (each[0].value is not True, each[1] != precision))
    return ordered[0][0].line if ordered else 1


def _of_config(config: Config) -> RunSettings | None:
    if not is_deepspeed(config):
        return None
    keys = keys_of_config(config)
    return RunSettings(
        "deepspeed",
        config.name,
        precisions=only(*(_precision(keys, block, precision) for block, precision in BLOCKS.items())),
        clipping=keys.number("gradient_clipping"),
    )


def _precision(keys: Keys, block: str, precision: Precision) -> Setting[Precision] | None:
    """Return the precision of a block that is hard-coded on; text is a matter of its own."""
    switch = keys.switch(f"{block}.enabled")
    if switch is None or not switch.value or keys.text(f"{block}.enabled") is not None:
        return None
    return switch.meaning(precision)


def _of_launch(launch: Launch) -> RunSettings | None:
    keys = keys_of_flags(launch, launch.flags)
    path = keys.text("deepspeed_config", "deepspeed", "ds_config", "deepspeed_config_file")
    if path is None or not path.value.endswith((".json", ".yaml", ".yml")):
        return None
    return RunSettings("deepspeed", launch.script, engine=path)


LAUNCHER = Launcher("deepspeed", of_config=_of_config, of_launch=_of_launch)
