"""What older releases cannot read in a file. The releases were measured; see the page of the module."""

from __future__ import annotations

from typing import Any

import pytest

from vc2doctor.linter.knowledge.api_table import load_table
from vc2doctor.linter.knowledge.file_formats import MARKS, FormatMark

TOKENIZER = {"model": {"type": "BPE", "merges": ["a b"]}, "pre_tokenizer": {"type": "Whitespace"}}


def marks(name: str, content: dict[str, Any], package: str, version: str) -> list[FormatMark]:
    table = load_table()
    assert table is not None
    return [mark for mark in MARKS[name](content, table) if mark.package == package and mark.affects(version)]


def keys(name: str, content: dict[str, Any], package: str, version: str) -> list[str]:
    return [mark.key for mark in marks(name, content, package, version)]


@pytest.mark.parametrize(
    ("change", "reads", "refuses"),
    [
        ({}, "0.13.3", None),
        ({"model": {"merges": [["a", "b"]]}}, "0.20.0", "0.19.1"),
        ({"normalizer": {"type": "ByteLevel"}}, "0.20.0", "0.19.1"),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "FixedLength"}]}}, "0.21.2", "0.21.1"),
        ({"decoder": {"type": "Metaspace", "split": True}}, "0.19.0", "0.15.2"),
        ({"decoder": {"type": "Metaspace", "add_prefix_space": True}}, "0.13.3", None),
    ],
)
def test_tokenizers_read_what_they_were_measured_to_read(
    change: dict[str, Any], reads: str, refuses: str | None
) -> None:
    content = {**TOKENIZER, **change}
    assert keys("tokenizer.json", content, "tokenizers", reads) == []
    if refuses is not None:
        assert len(keys("tokenizer.json", content, "tokenizers", refuses)) == 1


def test_classes_of_tokenizers_of_transformers_5() -> None:
    new, listed = {"tokenizer_class": "TokenizersBackend"}, {"extra_special_tokens": ["<a>"]}
    assert keys("tokenizer_config.json", new, "transformers", "4.57.1")
    assert not keys("tokenizer_config.json", new, "transformers", "5.0.0")
    assert keys("tokenizer_config.json", listed, "transformers", "4.57.1")
    # 4.45.2 loads such a file, without these tokens.
    assert not keys("tokenizer_config.json", listed, "transformers", "4.45.2")


def test_rotary_positions_are_left_out_only_where_they_differ_from_the_default() -> None:
    rope = {"rope_theta": 1e6, "rope_type": "default"}
    (mark,) = marks("config.json", {"rope_parameters": rope}, "transformers", "4.57.1")
    assert mark.is_ignored
    assert mark.key == "rope_parameters (rope_theta 1e+06, rope_type default)"
    assert not marks("config.json", {"rope_parameters": rope}, "transformers", "5.0.0")
    assert not marks("config.json", {"rope_parameters": rope, "rope_theta": 1e6}, "transformers", "4.57.1")
    assert not marks("config.json", {"rope_parameters": {"rope_theta": 10000.0}}, "transformers", "4.57.1")
    assert marks("config.json", {"text_config": {"rope_parameters": rope}}, "transformers", "4.57.1")


def test_a_key_of_an_adapter_is_refused_or_left_out_as_the_release_of_peft_does() -> None:
    default = {"peft_type": "LORA", "r": 8, "corda_config": None, "megatron_core": "megatron.core"}
    (mark,) = marks("adapter_config.json", default, "peft", "0.13.2")
    assert (mark.key, mark.written_since, mark.read_since, mark.is_ignored) == (
        "corda_config",
        "0.15.0",
        "0.14.0",
        False,
    )
    # It holds its default, so a release that leaves it out loads the same adapter.
    assert not marks("adapter_config.json", default, "peft", "0.14.0")
    switched = {"peft_type": "LORA", "use_qalora": True}
    (mark,) = marks("adapter_config.json", switched, "peft", "0.15.2")
    assert mark.is_ignored
    (mark,) = marks("adapter_config.json", switched, "peft", "0.13.2")
    assert (mark.is_ignored, mark.read_since) == (False, mark.written_since)
    (mark,) = marks("adapter_config.json", {"peft_type": "LORA", "use_dora": True}, "peft", "0.5.0")
    assert mark.is_ignored


def test_a_type_of_adapter_that_a_release_lacks() -> None:
    assert keys("adapter_config.json", {"peft_type": "SHIRA"}, "peft", "0.13.2") == ['"peft_type": "SHIRA"']
    assert not keys("adapter_config.json", {"peft_type": "OWN"}, "peft", "0.13.2")
    assert not keys("adapter_config.json", {"peft_type": "P_TUNING", "encoder_dropout": 0.1}, "peft", "0.13.2")


def test_a_state_of_the_trainer_and_the_features_of_data() -> None:
    assert keys("trainer_state.json", {"epoch": 1, "best_global_step": None}, "transformers", "4.45.2") == [
        "best_global_step"
    ]
    nested = {"features": {"a": {"feature": {"_type": "Value"}, "_type": "List"}}}
    assert keys("dataset_info.json", nested, "datasets", "3.6.0") == ["feature type List"]
    assert not keys("dataset_info.json", nested, "datasets", "4.0.0")
    assert not keys("dataset_info.json", {"features": [{"_type": "Value"}, None]}, "datasets", "2.0.0")


@pytest.mark.parametrize("name", MARKS)
@pytest.mark.parametrize("value", [None, 1, "x", [], [1], {}, {"type": 1, "merges": "x", "decoders": 3}])
def test_a_file_of_another_form_has_no_marks(name: str, value: object) -> None:
    names = ("model", "decoder", "rope_parameters", "a_config", "features", "peft_type", "tokenizer_class")
    content = dict.fromkeys(names, value)
    assert marks(name, content, "transformers", "4.30.0") == []
