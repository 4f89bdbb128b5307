"""Libraries of which projects keep copies, and frameworks whose code looks like that of torch.

The names of files and folders were read in the wheels and repositories of the releases that each entry names. A copy is
recognized by what it contains, so a renamed copy is recognized, and a project's own folder called ``apex`` is not.
"""

import re
from typing import NamedTuple

_OPENMMLAB = "an OpenMMLab library (mmdet, mmseg, …)"


class Layout(NamedTuple):
    """What the package folder of some releases of a library contains."""

    library: str
    files: frozenset[str]
    folders: frozenset[str]
    deeper: tuple[str, ...]
    """Paths of files in the subfolders, where the names of the subfolders alone would also fit other projects."""

    def fits(self, files: set[str], folders: set[str]) -> bool:
        """Return whether a folder with these files and subfolders has this layout, as far as ``deeper`` is left out."""
        return self.files <= files and self.folders <= folders


def _layout(library: str, files: str, folders: str = "", deeper: str = "") -> Layout:
    return Layout(library, frozenset(files.split()), frozenset(folders.split()), tuple(deeper.split()))


LAYOUTS: tuple[Layout, ...] = (
    # transformers 4.0 to 5.24; 2.x and 3.x keep the models in the package folder itself.
    _layout("transformers", "__init__.py configuration_utils.py modeling_utils.py training_args.py", "models"),
    _layout("transformers", "__init__.py configuration_utils.py modeling_utils.py modeling_bert.py modeling_gpt2.py"),
    # diffusers 0.3 to 0.34.
    _layout("diffusers", "__init__.py configuration_utils.py optimization.py", "models pipelines schedulers utils"),
    # peft 0.1 to 0.20.
    _layout("peft", "__init__.py mapping.py peft_model.py", "tuners utils"),
    # timm 0.3 to 1.0.
    _layout("timm", "__init__.py version.py", "data loss models optim scheduler utils", "data/mixup.py"),
    # mmcv 1.x and 2.x; mmengine; and the OpenMMLab libraries that are built on them.
    _layout("mmcv", "__init__.py version.py", "cnn image ops utils video"),
    _layout("mmengine", "__init__.py version.py", "config hooks model optim registry runner utils"),
    _layout(_OPENMMLAB, "__init__.py version.py", "apis core datasets models utils", "apis/train.py"),
    _layout(_OPENMMLAB, "", "apis core datasets models ops utils", "apis/train.py ops/wrappers.py"),
    _layout(_OPENMMLAB, "__init__.py version.py", "apis datasets engine evaluation models structures"),
    # detectron2 0.1 to 0.6.
    _layout("detectron2", "__init__.py", "checkpoint config data engine evaluation layers modeling solver structures"),
    # apex 0.1.
    _layout("apex", "__init__.py", "contrib multi_tensor_apply normalization optimizers"),
    # fairseq 0.9 to 0.12.
    _layout("fairseq", "__init__.py checkpoint_utils.py options.py registry.py trainer.py", "criterions models tasks"),
    # Megatron-LM 1.x and 2.x; megatron-core.
    _layout("Megatron", "__init__.py arguments.py checkpointing.py global_vars.py initialize.py training.py"),
    _layout("Megatron", "__init__.py parallel_state.py", "models pipeline_parallel tensor_parallel transformer"),
    # DeepSpeed 0.3 to 0.18; accelerate 0.12 to 1.x.
    _layout("DeepSpeed", "__init__.py constants.py git_version_info.py", "launcher ops runtime utils"),
    _layout("accelerate", "__init__.py accelerator.py data_loader.py optimizer.py", "commands utils"),
)

DISTRIBUTIONS: dict[str, str] = {
    **{name: name for name in ("transformers", "peft", "timm", "mmengine", "detectron2", "apex", "diffusers")},
    **dict.fromkeys(("mmcv", "mmcv-full", "mmcv-lite"), "mmcv"),
    **dict.fromkeys(("mmdet", "mmdet3d", "mmsegmentation", "mmpretrain"), _OPENMMLAB),
    **dict.fromkeys(("megatron-lm", "megatron-core", "megatron_core", "megatron"), "Megatron"),
    **{name: name for name in ("fairseq", "accelerate")},
    "deepspeed": "DeepSpeed",
}
"""The name in ``setup.py`` or ``pyproject.toml`` → the library, as ``LAYOUTS`` names it."""

MIN_MODEL_FOLDERS = 50
"""A folder with more subfolders ``x/`` that hold a ``modeling_x.py`` is the collection of models of transformers.
transformers 4.0 has 36 of them and 5.23 has 480; projects that were looked at have at most 6."""

_OTHER_FRAMEWORK = re.compile(
    rb"^[ \t]*(?:import|from)[ \t]+(jittor|paddle|mindspore|oneflow|mxnet|megengine)\b", re.MULTILINE
)
_TORCH = re.compile(
    rb"^[ \t]*(?:>>> )?(?:import|from)[ \t]+(?:torch\w*|pytorch_lightning|lightning|transformers|accelerate|peft|trl|"
    rb"deepspeed|apex|timm|diffusers|fairseq|mmcv|mmengine)\b",
    re.MULTILINE,
)


def other_framework(data: bytes) -> str | None:
    """Return the framework that a Python file is written for if it is not torch, else ``None``.

    jittor, paddle, MindSpore, oneflow, MXNet and MegEngine have an autocast, a ``GradScaler`` or casts with torch's
    names and other rules. A file that imports torch or a library of torch, too, is a file of torch.
    """
    match = _OTHER_FRAMEWORK.search(data)
    return match.group(1).decode() if match is not None and _TORCH.search(data) is None else None
