"""Reads the flags of ms-swift, ``swift sft``, ``swift pt`` and ``swift rlhf``, and its YAML and JSON files.

``--torch_dtype`` is the dtype of the weights; without ``--fp16`` and ``--bf16`` it decides the autocast too:
https://github.com/modelscope/ms-swift/blob/main/docs/source_en/Instruction/Command-line-parameters.md
"""

from vc2doctor.linter.read.config import Config, Launch
from vc2doctor.linter.read.launchers import Launcher
from vc2doctor.linter.read.launchers.transformers_arguments import settings_of_keys
from vc2doctor.linter.read.run_settings import RunSettings, keys_of_config, keys_of_flags


def _of_config(config: Config) -> RunSettings | None:
    keys = keys_of_config(config)
    is_own = keys.has_any("train_type", "tuner_type") and keys.has_any("model", "model_type")
    return settings_of_keys(keys, "ms-swift") if config.kind in ("yaml", "json") and is_own else None


def _of_launch(launch: Launch) -> RunSettings | None:
    is_own = launch.program.startswith("swift ") or launch.program.startswith(("swift/cli/", "swift/llm/"))
    return settings_of_keys(keys_of_flags(launch, launch.flags), "ms-swift") if is_own else None


LAUNCHER = Launcher("ms-swift", of_config=_of_config, of_launch=_of_launch)
