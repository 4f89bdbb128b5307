"""Files and folders of the current directory that a training script started there imports instead of a package."""

from pathlib import Path

from vc2doctor.environment.model import Shadow

_MODULES = ("torch", "transformers", "peft", "accelerate", "numpy", "tokenizers", "huggingface_hub", "safetensors")


def observe(folder: Path, installed: frozenset[str]) -> tuple[Shadow, ...]:
    """Return what in ``folder`` shadows a module of the stack.

    A folder without ``__init__.py`` shadows only a module that is not in ``installed``: Python prefers a real
    package further down the path to a namespace.
    """
    return tuple(
        Shadow(module=module, path=str(found))
        for module in _MODULES
        if (found := _shadow(folder, module, is_installed=module in installed)) is not None
    )


def _shadow(folder: Path, module: str, *, is_installed: bool) -> Path | None:
    package = folder / module
    if (package / "__init__.py").is_file():
        return package
    single = folder / f"{module}.py"
    if single.is_file():
        return single
    if package.is_dir() and not is_installed:
        return package
    return None
