"""Files and folders of the working directory that a training script started there imports instead of a package."""

from pathlib import Path

from vc2doctor.environment.model import Shadow
from vc2doctor.environment.sources import Source

_MODULES = ("torch", "transformers", "peft", "accelerate", "numpy", "tokenizers", "huggingface_hub", "safetensors")


def observe(folder: Path, installed: frozenset[str]) -> tuple[Shadow, ...]:
    """Return the files and folders in ``folder`` that shadow a module of the stack or of its companions.

    A folder without ``__init__.py`` shadows a module only if the module is not in ``installed``: Python prefers a
    real package later on its path to such a namespace package.
    """
    paths = {module: _shadow_of(folder, module, is_installed=module in installed) for module in _MODULES}
    return tuple(Shadow(module=module, path=str(path)) for module, path in paths.items() if path is not None)


def _shadow_of(folder: Path, module: str, *, is_installed: bool) -> Path | None:
    package = folder / module
    if (package / "__init__.py").is_file():
        return package
    file = folder / f"{module}.py"
    if file.is_file():
        return file
    if package.is_dir() and not is_installed:
        return package
    return None


SOURCE = Source("shadows", lambda context: observe(context.folder, context.installed), Shadow)
