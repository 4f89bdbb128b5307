"""Reads LLaMA-Factory's YAML and JSON files, and the flags of ``llamafactory-cli train``.

Its keys are those of transformers' trainer, with its own for pure bfloat16 and quantization:
https://github.com/hiyouga/LLaMA-Factory/blob/main/src/llamafactory/hparams/finetuning_args.py
"""

from dataclasses import replace

from vc2doctor.linter.read.config import Config, Launch
from vc2doctor.linter.read.launchers import Launcher
from vc2doctor.linter.read.launchers.transformers_arguments import settings_of_keys
from vc2doctor.linter.read.run_settings import Keys, RunSettings, keys_of_config, keys_of_flags

_STAGES = ("pt", "sft", "rm", "ppo", "dpo", "kto")


def _is_own(keys: Keys) -> bool:
    stage = keys.text("stage")
    has_stage = stage is not None and stage.value in _STAGES
    return has_stage and keys.has_any("finetuning_type", "template", "dataset", "do_train")


def _settings(keys: Keys) -> RunSettings:
    pure = keys.switch("pure_bf16")
    is_on = pure is not None and pure.value
    return replace(settings_of_keys(keys, "llama-factory"), pure=pure.meaning("bf16") if pure and is_on else None)


def _of_config(config: Config) -> RunSettings | None:
    keys = keys_of_config(config)
    return _settings(keys) if config.kind in ("yaml", "json") and _is_own(keys) else None


def _of_launch(launch: Launch) -> RunSettings | None:
    keys = keys_of_flags(launch, launch.flags)
    return _settings(keys) if launch.program == "llamafactory-cli train" and _is_own(keys) else None


LAUNCHER = Launcher("llama-factory", of_config=_of_config, of_launch=_of_launch)
