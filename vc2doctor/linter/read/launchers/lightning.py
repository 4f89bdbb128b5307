"""Reads Lightning's settings: the ``trainer`` section of ``LightningCLI`` and Hydra files, and overrides on a command.

``16-true`` and ``bf16-true`` keep the parameters in the half precision:
https://lightning.ai/docs/pytorch/stable/common/precision_basic.html
"""

from vc2doctor.linter.read.config import Config, Launch
from vc2doctor.linter.read.launchers import Launcher
from vc2doctor.linter.read.run_settings import Keys, RunSettings, keys_of_config, keys_of_flags, only

_OWN_KEYS = ("accelerator", "devices", "max_epochs", "max_steps", "accumulate_grad_batches", "gradient_clip_val")
_OWN_KEYS_OF_CONFIG = (*_OWN_KEYS, "strategy", "num_nodes", "log_every_n_steps", "val_check_interval", "_target_")


def settings_of_trainer(keys: Keys, prefix: str = "") -> RunSettings:
    """Return what the arguments of Lightning's ``Trainer`` ask for; ``prefix`` stands before their names."""
    precision, clipping = f"{prefix}precision", f"{prefix}gradient_clip_val"
    text, asked = keys.text(precision), keys.precision(precision)
    is_pure = text is not None and text.value in ("16-true", "bf16-true")
    return RunSettings(
        "lightning",
        keys.path,
        precisions=only(asked),
        pure=asked if is_pure else None,
        clipping=keys.number(clipping),
        unknown=keys.unknown(precision, clipping),
    )


def _of_config(config: Config) -> RunSettings | None:
    if config.kind != "yaml":
        return None
    keys = keys_of_config(config)
    is_own = "trainer.precision" in keys and any(f"trainer.{name}" in keys for name in _OWN_KEYS_OF_CONFIG)
    return settings_of_trainer(keys, "trainer.") if is_own else None


def _of_launch(launch: Launch) -> RunSettings | None:
    keys = keys_of_flags(launch, launch.flags)
    return (
        settings_of_trainer(keys, "trainer.")
        if keys.has_any("trainer.precision", "trainer.gradient_clip_val")
        else None
    )


LAUNCHER = Launcher("lightning", of_config=_of_config, of_launch=_of_launch)
