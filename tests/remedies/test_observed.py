"""What exceptions say about versions: real messages of transformers, peft, accelerate and bitsandbytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vc2doctor.core.failure import Failure, Missing
from vc2doctor.remedies.observed import named_packages, requirement_for, wanted_versions

INSTALLED = dict.fromkeys(
    (
        "torch",
        "transformers",
        "peft",
        "tokenizers",
        "torchao",
        "accelerate",
        "bitsandbytes",
        "huggingface-hub",
        "numpy",
    ),
    "1.0",
)

MESSAGES = [
    (
        (
            "tokenizers>=0.22.0,<=0.23.0 is required for a normal functioning of this module, but found"
            " tokenizers==0.19.1."
        ),
        {"tokenizers": ">=0.22.0,<=0.23.0"},
    ),
    (
        "Found an incompatible version of torchao. Found version 0.10.0, but only versions above 0.16.0 are supported",
        {"torchao": ">=0.16.0"},
    ),
    (
        (
            "Using the `Trainer` with `PyTorch` requires `accelerate>=0.26.0`: Please run `pip install"
            " transformers[torch]`"
        ),
        {"accelerate": ">=0.26.0"},
    ),
    (
        "Using `bitsandbytes` 4-bit quantization requires bitsandbytes: `pip install -U bitsandbytes>=0.46.1`",
        {"bitsandbytes": ">=0.46.1"},
    ),
    ("huggingface_hub>=1.3.0,<2.0 is required, but found huggingface-hub==0.36.0", {"huggingface-hub": ">=1.3.0,<2.0"}),
    ("Please upgrade accelerate to at least 0.21.0.", {"accelerate": ">=0.21.0"}),
    ("pyarrow requires NumPy 2.0 or newer, found 1.26.4", {"numpy": ">=2.0"}),
    ("This needs torchao version 0.7 or newer", {"torchao": ">=0.7"}),
    ("einops>=0.8 is required", {}),
    ("optimizer got an empty parameter list", {}),
    ("expected peft>=not.a.version", {}),
]


def failure(message: str, package: str | None = None, missing: Missing | None = None) -> Failure:
    return Failure(type="ImportError", message=message, package=package, missing=missing)


@pytest.mark.parametrize(("message", "expected"), MESSAGES, ids=[message[:30] for message, _ in MESSAGES])
def test_version_that_a_message_asks_for_is_read(message: str, expected: dict[str, str]) -> None:
    assert wanted_versions(failure(message), INSTALLED) == expected


def test_packages_of_the_message_the_file_and_the_import_are_suspects() -> None:
    error = failure("no attribute y in torchao", "peft", Missing(module="huggingface_hub.utils", symbol="x"))
    assert named_packages(error, INSTALLED) == {"torchao", "peft", "huggingface-hub"}


@pytest.mark.parametrize(
    ("message", "numpy", "expected"),
    [
        ("numpy.dtype size changed, may indicate binary incompatibility. Expected 96, got 88", "2.1.3", "<2"),
        ("A module that was compiled using NumPy 1.x cannot be run in NumPy 2.1.3 as it may crash.", "2.1.3", "<2"),
        ("numpy.core.multiarray failed to import", "1.26.4", ">=2"),
    ],
)
def test_module_that_was_built_for_the_other_numpy_asks_for_it(message: str, numpy: str, expected: str) -> None:
    assert wanted_versions(failure(message), {"numpy": numpy}) == {"numpy": expected}


@given(st.text())
def test_any_message_is_read(message: str) -> None:
    assert wanted_versions(failure(message), INSTALLED) is not None


@pytest.mark.parametrize(
    ("module", "installed", "expected"),
    [
        ("pkg_resources", {"setuptools": "84.2.1"}, "setuptools<82"),
        ("pkg_resources", {"setuptools": "80.0.0"}, None),
        ("PIL.Image", {}, "pillow"),
        ("einops", {}, "einops"),
        ("torch.distributed.tensor", {"torch": "2.4.0"}, None),
    ],
)
def test_a_missing_module_is_installed_by_the_name_of_its_distribution(
    module: str, installed: dict[str, str], expected: str | None
) -> None:
    assert requirement_for(module, installed) == expected
