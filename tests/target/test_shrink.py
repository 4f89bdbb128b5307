"""The small twin of a configuration: ratios stay valid, and nothing stays large."""

from __future__ import annotations

from typing import Any

import pytest

from vc2doctor.target.probe.shrink import shrink

VOCABULARY, SPECIAL = 96, (1, 2)


def small(names: dict[str, str] | None = None, **keys: Any) -> dict[str, Any]:  # noqa: ANN401
    full = {"hidden_size": 4096, "num_attention_heads": 32, "num_hidden_layers": 32, "vocab_size": 128256, **keys}
    return shrink(full, names or {}, VOCABULARY, SPECIAL).keys


def test_backbone_is_two_layers_of_four_heads() -> None:
    keys = small(intermediate_size=14336, max_position_embeddings=131072, tie_word_embeddings=True)
    assert (keys["hidden_size"], keys["num_attention_heads"], keys["num_hidden_layers"]) == (64, 4, 2)
    assert (keys["intermediate_size"], keys["max_position_embeddings"]) == (128, 512)
    assert keys["tie_word_embeddings"] is True


@pytest.mark.parametrize(("full", "expected"), [(32, 4), (8, 2), (1, 1), (None, 4)])
def test_key_value_heads_keep_their_kind(full: int | None, expected: int) -> None:
    assert small(num_key_value_heads=full)["num_key_value_heads"] == expected


def test_models_own_names_are_used() -> None:
    names = {"hidden_size": "n_embd", "num_attention_heads": "n_head", "num_hidden_layers": "n_layer"}
    full = {"n_embd": 1600, "n_head": 25, "n_layer": 48, "n_positions": 1024, "n_inner": None, "vocab_size": 50257}
    keys = shrink(full, names, VOCABULARY, SPECIAL).keys
    assert (keys["n_embd"], keys["n_head"], keys["n_layer"]) == (64, 4, 2)
    assert (keys["n_positions"], keys["n_inner"], keys["vocab_size"]) == (512, None, 96)


def test_heads_that_are_wider_than_the_residual_stream_stay_so() -> None:
    assert small(head_dim=128)["head_dim"] == 16
    assert small(head_dim=256)["head_dim"] == 32


def test_quantization_code_and_dtype_are_dropped() -> None:
    keys = small(
        quantization_config={"bits": 4}, auto_map={"AutoConfig": "x.Y"}, torch_dtype="bfloat16", _name_or_path="/x"
    )
    assert not {"quantization_config", "auto_map", "torch_dtype", "_name_or_path"} & set(keys)


def test_sections_of_rotary_positions_fit_half_a_head() -> None:
    rope = {"rope_type": "default", "mrope_section": [16, 24, 24]}
    assert sum(small(head_dim=128, rope_parameters=rope)["rope_parameters"]["mrope_section"]) == 8


def test_factors_of_long_rope_are_one_for_each_pair() -> None:
    rope = {"rope_type": "longrope", "short_factor": [1.0] * 48, "long_factor": [2.0] * 48}
    keys = small(hidden_size=3072, rope_scaling=rope, max_position_embeddings=131072)
    assert len(keys["rope_scaling"]["short_factor"]) == len(keys["rope_scaling"]["long_factor"]) == 8
    assert keys["max_position_embeddings"] == 131072, "the stretch depends on it"


def test_both_kinds_of_layers_are_kept() -> None:
    kinds = (["sliding_attention"] * 3 + ["full_attention"]) * 8
    keys = small(layer_types=kinds, no_rope_layers=[1, 1, 1, 0] * 8, mlp_only_layers=[3, 7], per_layer={"3": {"x": 1}})
    assert keys["layer_types"] == ["sliding_attention", "full_attention"]
    assert keys["no_rope_layers"] == [1, 0]
    assert keys["mlp_only_layers"] == [1], "layer 3 is the second that is kept"
    assert keys["per_layer"] == {"1": {"x": 1}}


def test_experts_are_enough_for_those_that_are_chosen() -> None:
    keys = small(
        n_routed_experts=256, num_experts_per_tok=8, n_group=8, topk_group=4, moe_intermediate_size=2048, num_experts=1
    )
    assert (keys["n_routed_experts"], keys["num_experts_per_tok"], keys["n_group"]) == (4, 2, 2)
    assert (keys["moe_intermediate_size"], keys["num_experts"]) == (32, 1), "a value is never raised"


def test_no_token_lies_beyond_the_vocabulary() -> None:
    keys = small(
        bos_token_id=128000, eos_token_id=[128001, 128009], pad_token_id=None, image_token_id=151655, sep_token_id=5
    )
    assert (keys["vocab_size"], keys["bos_token_id"], keys["eos_token_id"]) == (96, 1, 2)
    assert (keys["pad_token_id"], keys["image_token_id"], keys["sep_token_id"]) == (None, 95, 5)
    assert small(pad_token_id=32000)["pad_token_id"] == 2


def test_unknown_width_is_cut_and_an_unknown_switch_is_kept() -> None:
    keys = small(mystery_dim=2048, mystery_size=4096, window_size=4096, use_mystery=True, mystery_factor=0.5)
    assert (keys["mystery_dim"], keys["mystery_size"]) == (32, 64)
    assert (keys["use_mystery"], keys["mystery_factor"]) == (True, 0.5)


def test_configuration_without_width_or_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="names no width or no layers"):
        shrink({"num_attention_heads": 8}, {}, VOCABULARY, SPECIAL)
