"""The guess where nothing is known: the older one of two packages is raised to the date of the newer one."""

from __future__ import annotations

from tests.remedies.test_smallest import question
from vc2doctor.remedies.by_date import raised_to_date

TRL = {
    "transformers": "5.2.0",
    "peft": "0.19.1",
    "trl": "0.27.1",
    "datasets": "4.5.0",
    "tokenizers": "0.22.2",
    "huggingface-hub": "1.3.0",
}


def test_an_old_trainer_is_raised_to_the_date_of_transformers() -> None:
    remedy = raised_to_date(question(TRL, doors=("grpo",)), ("trl",))
    assert remedy is not None
    assert remedy.requirements == ("trl==0.29.0",)
    assert remedy.reason.startswith("likely, but not measured: trl 0.29.0 was released on 2026-")


def test_an_old_transformers_is_raised_to_the_date_of_the_trainer() -> None:
    old = {"transformers": "4.29.2", "peft": "0.4.0", "trl": "0.5.0", "accelerate": "0.21.0", "tokenizers": "0.13.3"}
    asked = question({**old, "huggingface-hub": "0.36.2", "numpy": "1.26.4", "datasets": "3.6.0"}, doors=("dpo",))
    remedy = raised_to_date(asked, ("trl",))
    assert remedy is not None
    assert remedy.requirements == ("transformers==4.31.0",)
    assert remedy.reason == "likely, but not measured: transformers 4.31.0 was released on 2023-07-18, before trl 0.5.0"


def test_nothing_is_guessed_without_a_suspect_or_for_torch() -> None:
    assert raised_to_date(question(TRL, doors=("grpo",)), ()) is None
    assert raised_to_date(question(TRL, doors=("grpo",)), ("torch",)) is None
