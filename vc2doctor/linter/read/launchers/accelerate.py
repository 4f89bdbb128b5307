"""Reads what accelerate is asked for: its YAML file, and the flags of ``accelerate launch``.

https://huggingface.co/docs/accelerate/package_reference/cli
"""

from vc2doctor.linter.read.config import Config, Launch
from vc2doctor.linter.read.launchers import Launcher
from vc2doctor.linter.read.run_settings import Keys, RunSettings, keys_of_config, keys_of_flags, only

_OWN_KEYS = ("compute_environment", "distributed_type", "downcast_bf16", "dynamo_config", "num_processes")


def _settings(keys: Keys, engine: str, clipping: str) -> RunSettings:
    return RunSettings(
        "accelerate",
        keys.path,
        precisions=only(keys.precision("mixed_precision")),
        engine=keys.text(engine),
        clipping=keys.number(clipping),
        unknown=keys.unknown("mixed_precision", engine, clipping),
    )


def _of_config(config: Config) -> RunSettings | None:
    keys = keys_of_config(config)
    is_own = keys.has_any(*_OWN_KEYS) or any(key.startswith(("deepspeed_config.", "fsdp_config.")) for key in keys)
    if config.kind != "yaml" or not is_own or keys.has_any("output_dir", "base_model"):
        return None
    return _settings(keys, "deepspeed_config.deepspeed_config_file", "deepspeed_config.gradient_clipping")


def _of_launch(launch: Launch) -> RunSettings | None:
    if launch.launcher != "accelerate":
        return None
    return _settings(keys_of_flags(launch, launch.launcher_flags), "deepspeed_config_file", "gradient_clipping")


LAUNCHER = Launcher("accelerate", of_config=_of_config, of_launch=_of_launch)
