"""Known activation ranges of models, by name."""

from __future__ import annotations

import pytest

from tests.facts import SHIPPED
from vc2doctor.matrix import headroom


@pytest.mark.parametrize("name", ["gemma 3 27b", "Gemma3-27B", "google/gemma-3-27b-it", "GEMMA_3_27B_IT"])
def test_a_model_is_found_by_the_names_that_people_write(name: str) -> None:
    (maximum,) = headroom.find(SHIPPED, name)
    assert maximum.model == "google/gemma-3-27b-it"
    assert round(maximum.bits, 1) == -3.4
    assert headroom.describe(maximum).startswith(
        "google/gemma-3-27b-it: -3.4 bits, float16 overflows (|x| up to 696320 in "
    )


@pytest.mark.parametrize("name", ["", "  ", "gemma 27b 3", "gemma 3 7b", "llama"])
def test_an_unknown_name_finds_nothing(name: str) -> None:
    assert headroom.find(SHIPPED, name) == ()


def test_the_name_of_a_family_finds_all_its_models() -> None:
    models = {maximum.model for maximum in headroom.find(SHIPPED, "qwen3")}
    assert {"Qwen/Qwen3-8B", "Qwen/Qwen3-32B", "Qwen/Qwen3.5-9B"} <= models
    assert not any("Qwen2" in model for model in models)


def test_every_maximum_has_a_source_and_the_largest_comes_first() -> None:
    maxima = headroom.known(SHIPPED)
    assert len(maxima) >= 27
    assert all(maximum.source.startswith("https://") and maximum.where for maximum in maxima)
    largest = [maximum.largest for maximum in maxima]
    assert largest == sorted(largest, reverse=True)
    assert sum(maximum.bits < 0 for maximum in maxima) == 4, "two Gemma 3, one Gemma 2 and gpt-oss overflow float16"
