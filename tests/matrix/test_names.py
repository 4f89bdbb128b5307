"""Misspelled names of packages, and the names of other packages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.facts import SHIPPED
from vc2doctor.matrix.names import NAMESAKES, MisspelledNameError, intended_name, refuse_misspelled

MODELED = SHIPPED.modeled_packages | {"torchao", "datasets", "protobuf", "lightning"}


@pytest.mark.parametrize(
    ("name", "intended"),
    [
        ("transfomers", "transformers"),
        ("tranformers", "transformers"),
        ("transformer", "transformers"),
        ("Trasnformers", "transformers"),
        ("bitsandbyte", "bitsandbytes"),
        ("bits_and_bytes", "bitsandbytes"),
        ("torch-ao", "torchao"),
        ("torch.vision", "torchvision"),
        ("huggingfacehub", "huggingface-hub"),
        ("hugingface_hub", "huggingface-hub"),
        ("accelarate", "accelerate"),
        ("troch", "torch"),
        ("pytorch", "torch"),
        ("pfet", "peft"),
        ("tlr", "trl"),
        ("nunpy", "numpy"),
        ("jinja", "jinja2"),
        ("flash-attention", "flash-attn"),
        ("tokenisers", "tokenizers"),
        ("dataset2", "datasets"),
    ],
)
def test_a_misspelled_name_has_a_suggestion(name: str, intended: str) -> None:
    assert intended_name(name, MODELED) == intended


@pytest.mark.parametrize(
    "name",
    [
        "nonsense",
        "xformers",
        "tensorflow",
        "numba",
        "numpyro",
        "scipy",
        "torchaudio",
        "torchdata",
        "ray",
        "url",
        "lora",
        "setuptools-scm",
        "sentence-transformers",
        "deepspeed-mii",
        "pytorch-lightning",
        "tqdm",
        "regex",
        "protobuf",
    ],
)
def test_another_package_has_none(name: str) -> None:
    assert intended_name(name, MODELED) is None


@pytest.mark.parametrize("name", sorted(NAMESAKES))
def test_namesakes_are_packages_of_their_own(name: str) -> None:
    assert intended_name(name, MODELED | {"python"}) is None


@given(st.sampled_from(sorted(MODELED)), st.sampled_from("-_."))
def test_a_modeled_name_is_never_misspelled_however_it_is_written(name: str, separator: str) -> None:
    assert intended_name(name.replace("-", separator).title(), MODELED) is None


@given(st.text(max_size=30))
def test_any_text_has_a_modeled_suggestion_or_none(name: str) -> None:
    assert intended_name(name, MODELED) in {None, *MODELED}


def test_the_message_names_each_with_its_suggestion_and_says_what_to_do() -> None:
    with pytest.raises(MisspelledNameError) as caught:
        refuse_misspelled(["transfomers", "nonsense", "bitsandbyte"], MODELED)
    assert str(caught.value) == (
        "the matrix does not judge transfomers (did you mean transformers?), bitsandbyte (did you mean bitsandbytes?)."
        " Correct the spelling. Other packages are not judged; leave them out."
    )


def test_a_message_about_many_names_stays_short() -> None:
    with pytest.raises(MisspelledNameError, match=r"and 3 more\. Correct"):
        refuse_misspelled([f"transformer{letter}" for letter in "abcdefgh"], MODELED)
