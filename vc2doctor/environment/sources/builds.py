"""The builds of torch and torchvision, as their own ``version.py`` names them. Nothing is imported."""

from pathlib import Path

from vc2doctor.core import builds, reading
from vc2doctor.environment.model import Builds
from vc2doctor.environment.sources import Context, Source

_PACKAGES = ("torch", "torchvision")
MAX_VERSION_BYTES = 64 * 1024
"""Of a version.py; those of released wheels have less than 1 kB."""


def observe(folders: dict[str, Path]) -> Builds:
    """Return the builds of the packages in ``folders``, by package; what names no build is left out."""
    texts = {
        name: reading.text_or_empty(folders[name] / name / "version.py", MAX_VERSION_BYTES)
        for name in _PACKAGES
        if name in folders
    }
    named = {name: builds.of_source(text) for name, text in texts.items()}
    return Builds(by_package={name: build for name, build in named.items() if build})


def _observe(context: Context) -> Builds:
    return observe(context.folders)


SOURCE = Source("builds", _observe, Builds)
