"""What is known of the range of models by name."""

from __future__ import annotations

import pytest

from tests.facts import SHIPPED
from vc2doctor.matrix import headroom


@pytest.mark.parametrize("name", ["gemma 3 27b", "Gemma3-27B", "google/gemma-3-27b-it", "GEMMA_3_27B_IT"])
def test_a_model_by_the_names_that_people_write(name: str) -> None:
    (found,) = headroom.find(SHIPPED, name)
    assert found.model == "google/gemma-3-27b-it"
    assert round(found.bits, 1) == -3.4
    assert headroom.describe(found).startswith(
        "google/gemma-3-27b-it: -3.4 bits, float16 overflows (|x| up to 696320 in "
    )


@pytest.mark.parametrize("name", ["", "  ", "gemma 27b 3", "gemma 3 7b", "llama"])
def test_what_is_not_known_is_not_guessed(name: str) -> None:
    assert headroom.find(SHIPPED, name) == ()


def test_a_family_gives_all_its_models() -> None:
    models = {found.model for found in headroom.find(SHIPPED, "qwen3")}
    assert {"Qwen/Qwen3-8B", "Qwen/Qwen3-32B", "Qwen/Qwen3.5-9B"} <= models
    assert not any("Qwen2" in model for model in models)


def test_every_maximum_has_a_source_and_they_are_in_order() -> None:
    found = headroom.known(SHIPPED)
    assert len(found) >= 27
    assert all(one.source.startswith("https://") and one.where for one in found)
    assert [one.largest for one in found] == sorted((one.largest for one in found), reverse=True)
    assert sum(one.bits < 0 for one in found) == 4, "two Gemma 3, one Gemma 2 and gpt-oss leave float16"
