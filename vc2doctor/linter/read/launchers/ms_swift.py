"""Reads the flags of ms-swift: ``swift sft``, ``swift pt`` and ``swift rlhf``.

``--torch_dtype`` is the dtype of the weights; without ``--fp16`` and ``--bf16`` it decides the autocast too:
https://github.com/modelscope/ms-swift/blob/main/docs/source_en/Instruction/Command-line-parameters.md
"""

from vc2doctor.linter.read.config import Launch
from vc2doctor.linter.read.launchers import Launcher
from vc2doctor.linter.read.launchers.transformers_arguments import settings_of_keys
from vc2doctor.linter.read.run_settings import RunSettings, keys_of_flags


def _of_launch(launch: Launch) -> RunSettings | None:
    is_own = launch.program.startswith("swift ") or launch.program.startswith(("swift/cli/", "swift/llm/"))
    return settings_of_keys(keys_of_flags(launch, launch.flags), "ms-swift") if is_own else None


LAUNCHER = Launcher("ms-swift", of_launch=_of_launch)
