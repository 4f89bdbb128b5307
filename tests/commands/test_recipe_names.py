"""Which recipe a wrong name means."""

from __future__ import annotations

import pytest

from vc2doctor.commands import recipe_names


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("float16", ("fp16-amp", "fp16-scaled")),
        ("bfloat16", ("bf16-amp", "bf16", "bf16-scaled")),
        ("half", ("fp16-amp", "fp16-scaled")),
        ("float32", ("fp32",)),
        ("full-bfloat16", ("full-bf16-amp", "full-bf16", "bf16-stochastic")),
        ("qlora-float16", ("qlora-fp16",)),
        ("stochastic", ("bf16-stochastic",)),
        ("int8", ()),
    ],
)
def test_nearest_recipes_are_those_of_the_dtype_that_a_name_means(name: str, nearest: tuple[str, ...]) -> None:
    assert recipe_names.nearest(name) == nearest


def test_recipe_that_is_not_advised_is_never_offered() -> None:
    assert "fp16-unscaled" not in recipe_names.nearest("fp16_unscald")
