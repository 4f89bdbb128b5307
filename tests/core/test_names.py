"""Names of packages in the messages of exceptions."""

from __future__ import annotations

from vc2doctor.core.names import mentioned


def test_names_are_canonical_and_parts_of_words_count() -> None:
    names = mentioned("is_torchao_available(): huggingface_hub 0.17 lacks 'X', says Flash-Attn")
    assert {"torchao", "huggingface-hub", "flash-attn"} <= names
    assert "torch" not in names


def test_text_without_words_mentions_nothing() -> None:
    assert mentioned("__ ... ==") <= {"-"}
