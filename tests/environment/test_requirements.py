"""What installed packages declare that they need, or that they can use."""

from __future__ import annotations

from tests.facts import distribution, environment
from vc2doctor.environment.requirements import declared_names


def test_needed_and_optional_names_are_told_apart_and_development_is_left_out() -> None:
    requires = (
        "Tqdm>=4",
        "huggingface_hub<2",
        'tomli; python_version < "3.11"',
        'datasets; extra == "all"',
        'tqdm; extra == "all"',
        'pytest; extra == "dev-torch"',
        'ruff; extra == "quality"',
        "not a requirement at all",
    )
    facts = environment(distributions=(distribution("transformers", "4.44.0", requires=requires),))
    declared = declared_names(facts, ("transformers", "trl"))
    assert declared.needed == {"tqdm", "huggingface-hub", "tomli"}
    assert declared.optional == {"datasets"}
