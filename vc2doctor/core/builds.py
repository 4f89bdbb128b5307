"""The builds of torch and of packages that are compiled for it: ``cpu``, ``cu121``, ``rocm6.2``.

A build is the local part of the version (``2.13.0+cu130``). Wheels on PyPI leave it out of their metadata, and keep it
in their ``version.py``.
"""

import re

from packaging.version import InvalidVersion, Version

_VERSION = re.compile(r"""^__version__\s*(?::[^=\n]+)?=\s*["']([^"'\n]{1,80})["']""", re.MULTILINE)
_CUDA = re.compile(r"""^cuda\s*(?::[^=\n]+)?=\s*["'](\d{1,2})\.(\d{1,2})["']""", re.MULTILINE)
_LABEL = re.compile(r"cu(\d{1,2})(\d)(?:\..*)?")
_LOCAL_PART = re.compile(r"\+[a-z0-9.]+")
CPU = "cpu"


def of_version(text: str) -> str:
    """Return the build that a version names; empty: it names none, or is no version."""
    try:
        return Version(text).local or ""
    except InvalidVersion:
        return ""


def of_source(text: str) -> str:
    """Return the build that the text of a ``version.py`` names; empty: it names none."""
    named = _VERSION.search(text)
    cuda = _CUDA.search(text)
    return (of_version(named[1]) if named else "") or (f"cu{cuda[1]}{cuda[2]}" if cuda else "")


def without(specifier: str) -> str:
    """Return a specifier without the builds that it names: ``==2.0.0`` for ``==2.0.0+cu117``."""
    return _LOCAL_PART.sub("", specifier)


def cuda_of(build: str) -> tuple[int, int] | None:
    """Return the CUDA version of a build: (12, 1) for ``cu121``; ``None``: it is no build for CUDA."""
    match = _LABEL.fullmatch(build)
    return (int(match[1]), int(match[2])) if match else None
