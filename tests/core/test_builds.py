"""Builds, as versions and the ``version.py`` of released wheels name them."""

from __future__ import annotations

import pytest

from vc2doctor.core import builds

TORCH_212 = """from typing import Optional

__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip']
__version__ = '2.1.2+cu121'
debug = False
cuda: Optional[str] = '12.1'
git_version = 'a8e7c98cb95ff97bb30a728c6b2a1ce6bff946eb'
hip: Optional[str] = None
"""
TORCHVISION_028 = """__version__ = '0.28.0+cu130'
git_version = '8fb87713a24951e639c494b0f2a8a81b5f8e33a6'
from torchvision.extension import _check_cuda_version
if _check_cuda_version() > 0:
    cuda = _check_cuda_version()
"""
OF_CONDA = "__version__ = '2.5.1'\ncuda: Optional[str] = '12.4'\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TORCH_212, "cu121"),
        (TORCHVISION_028, "cu130"),
        (OF_CONDA, "cu124"),
        ("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n", "cpu"),
        ('__version__: str = "2.6.0+rocm6.2"\n', "rocm6.2"),
        ("__version__ = '2.6.0a0+ecf3bae40a.nv25.01'\n", "ecf3bae40a.nv25.1"),
        ("__version__ = '0.20.1'\n", ""),
        ("__version__ = 'no version'\n", ""),
        ("", ""),
    ],
)
def test_source(text: str, expected: str) -> None:
    assert builds.of_source(text) == expected


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        ("cu117", (11, 7)),
        ("cu130", (13, 0)),
        ("cu92", (9, 2)),
        ("cpu", None),
        ("rocm6.2", None),
        ("cu", None),
        ("", None),
    ],
)
def test_cuda(build: str, expected: tuple[int, int] | None) -> None:
    assert builds.cuda_of(build) == expected
