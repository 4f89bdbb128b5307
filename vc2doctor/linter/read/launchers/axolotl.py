"""Reads axolotl's YAML files.

``bf16: auto`` follows the hardware, ``bf16: full`` keeps the parameters in bfloat16, and ``bf16`` wins over ``fp16``:
https://github.com/axolotl-ai-cloud/axolotl/blob/main/src/axolotl/utils/config/__init__.py
"""

from dataclasses import replace

from vc2doctor.linter.read.config import Config
from vc2doctor.linter.read.launchers import Launcher
from vc2doctor.linter.read.launchers.transformers_arguments import settings_of_keys
from vc2doctor.linter.read.run_settings import Keys, Precision, RunSettings, Setting, keys_of_config, switched_on

_OWN_KEYS = ("micro_batch_size", "sequence_len", "adapter", "val_set_size", "special_tokens", "wandb_project")


def _of_config(config: Config) -> RunSettings | None:
    keys = keys_of_config(config)
    if config.kind != "yaml" or "base_model" not in keys or not keys.has_any(*_OWN_KEYS):
        return None
    bf16 = keys.text("bf16")
    full = bf16 if bf16 is not None and bf16.value == "full" else None
    settings = settings_of_keys(keys, "axolotl")
    return replace(
        settings,
        precisions=_precisions(keys, full),
        pure=full.meaning("bf16") if full is not None else None,
        clipping=settings.clipping or keys.number("gradient_clipping"),
        unknown=settings.unknown | ({"bf16"} if bf16 is not None and bf16.value == "auto" else set()),
    )


def _precisions(keys: Keys, full: Setting[str] | None) -> tuple[Setting[Precision], ...]:
    if full is not None:
        return (full.meaning("bf16"),)
    asked = switched_on(keys, ("bf16", "bf16"), ("fp16", "fp16"))
    # Axolotl itself turns fp16 off where bf16 is on, so the pair is no contradiction.
    return asked[:1]


LAUNCHER = Launcher("axolotl", of_config=_of_config)
