"""Shrinks the configuration of a language model to two small layers: a pure function over its keys.

Ratios that a model relies on stay valid: heads to key-value heads, head width to rotary width, experts to those chosen
for a token, groups of experts. Everything else that makes a model large (widths, layers, vocabulary) becomes small.
"""

import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

LAYERS = 2
HEADS, HEAD_WIDTH, OTHER_HEAD_WIDTH = 4, 16, 32
"""``OTHER_HEAD_WIDTH`` is for a model whose heads together are not as wide as its residual stream, such as Gemma."""
HIDDEN = HEADS * HEAD_WIDTH
INTERMEDIATE, EXPERT_WIDTH = 128, 32
EXPERTS, CHOSEN_EXPERTS, EXPERT_GROUPS = 4, 2, 2
"""A group has two experts, because DeepSeek's router adds the two best scores of each group."""
MAX_WIDTH = 32
"""A width that no rule knows is cut to this."""
MAX_POSITIONS = 512
"""A model with learned positions has a row for each; the rows of the probe are shorter than 64 tokens."""

_DROPPED = frozenset(
    {
        *(
            "quantization_config",
            "compression_config",
            "auto_map",
            "custom_pipelines",
            "_name_or_path",
            "architectures",
        ),
        *("torch_dtype", "dtype", "transformers_version", "model_type", "attn_implementation"),
        # These can name a kernel on the Hub, which is code.
        *("experts_implementation", "kernel_config"),
        *("vision_config", "audio_config", "transformers_weights", "attn_config_class", "pretraining_tp"),
        *("base_model_tp_plan", "base_model_pp_plan", "base_model_ep_plan", "task_specific_params"),
    }
)
"""Keys that lead to code, to files or to quantized layers, or that belong to another model than this one."""

_FIXED = {
    **dict.fromkeys(("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"), EXPERTS),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk", "moe_k", "top_k_experts", "experts_per_token"), CHOSEN_EXPERTS),
    **dict.fromkeys(("n_group", "num_expert_groups", "topk_group"), EXPERT_GROUPS),
    **dict.fromkeys(("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"), 1),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "expert_dim"), EXPERT_WIDTH),
    **dict.fromkeys(("first_k_dense_replace", "moe_layer_start_index", "max_window_layers", "num_dense_layers"), 1),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "o_lora_rank"), MAX_WIDTH),
    **dict.fromkeys(("qk_nope_head_dim", "v_head_dim", "linear_key_head_dim", "linear_value_head_dim"), HEAD_WIDTH),
    **dict.fromkeys(("qk_rope_head_dim",), HEAD_WIDTH // 2),
    **dict.fromkeys(("qk_head_dim",), HEAD_WIDTH + HEAD_WIDTH // 2),
    **dict.fromkeys(("linear_num_key_heads",), 2),
    **dict.fromkeys(("linear_num_value_heads",), HEADS),
    **dict.fromkeys(("num_kv_shared_layers", "num_nextn_predict_layers", "num_mtp_modules"), 0),
    **dict.fromkeys(("hidden_size_per_layer_input", "laurel_rank"), HEAD_WIDTH),
    **dict.fromkeys(("attn_layer_period", "expert_layer_period"), 2),
    **dict.fromkeys(("attn_layer_offset", "expert_layer_offset"), 1),
}
"""Keys that have the same meaning in every model that has them, with their small values. A value is never raised."""

_TOWER_NAMES = {
    "hidden_size": ("embed_dim", "hidden_size"),
    "num_attention_heads": ("num_heads", "num_attention_heads", "attention_heads"),
    "num_hidden_layers": ("depth", "num_hidden_layers"),
}
"""The names of an image encoder's sizes, by the usual name."""
_STATE_SPACE = (
    ("expand", "num_heads", "head_dim", "n_groups"),
    ("mamba_expand", "mamba_n_heads", "mamba_d_head", "mamba_n_groups"),
)
"""Mamba 2's own heads: together they are as wide as the expanded residual stream."""
_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num", "num_query_groups")
_INTERMEDIATE = ("intermediate_size", "ffn_dim", "n_inner", "d_ff", "ffn_hidden_size", "intermediate_size_mlp")
_POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "n_ctx", "seq_length")
_HEAD_WIDTHS = ("head_dim", "global_head_dim", "attention_head_dim", "kv_channels", "swa_head_dim")
_ROTARY_WIDTHS = ("rotary_dim", "rotary_ndims", "rope_dim")
_WIDTH = re.compile(r"(^d_|_(dim|dims|size|rank|width|channels)$|^(dim|width)$)")
_NO_WIDTH = re.compile(r"vocab|window|chunk|kernel|patch|image|pool|group_size|block_size|batch|type_")


class _Sizes(NamedTuple):
    """The sizes of the full model that others are recognized by, and the width of a head before and after."""

    hidden: int
    heads: int
    head: int
    new_head: int
    layers: int
    rotary_half: int
    """Pairs of rotary positions in the full model."""


class Shrunk(NamedTuple):
    """A small configuration, and the layers of the full model that its layers stand for."""

    keys: Dict[str, Any]
    layers: Tuple[int, ...]
    rotary_half: int
    """Pairs of rotary positions."""


def shrink(full: Dict[str, Any], names: Dict[str, str], vocabulary: int, special: Tuple[int, int]) -> Shrunk:
    """Return the small twin of the configuration ``full``, whose keys are complete (defaults included).

    ``names`` maps the usual name of a key to the model's own (``attribute_map`` of its class: ``hidden_size`` →
    ``n_embd``). ``special`` are the ids of the begin and of the end of a sequence.

    Raises:
        ValueError: the configuration names no width or no layers.
    """
    keys = {name: value for name, value in full.items() if is_kept(name)}
    sizes = _sizes(keys, names)
    chosen = _chosen_layers(keys, sizes.layers)
    small = {name: _value(name, value, keys, sizes, chosen) for name, value in keys.items()}
    small.update(_backbone(keys, names, sizes))
    small.update(_tokens(keys, names, vocabulary, special))
    return Shrunk(small, chosen, _new_rotary_half(sizes))


def shrink_tower(full: Dict[str, Any], width: int) -> Dict[str, Any]:
    """Return the small twin of an image encoder beside a language model whose full width is ``width``.

    Raises:
        ValueError: the configuration names no width or no layers.
    """
    names = {usual: next((name for name in own if name in full), usual) for usual, own in _TOWER_NAMES.items()}
    small = shrink(full, names, HIDDEN, (0, 0)).keys
    for name, value in full.items():
        if value == width and name != names["hidden_size"] and not isinstance(value, bool):
            # The encoder's output is as wide as the language model.
            small[name] = HIDDEN
    return {name: value for name, value in small.items() if name in full}


def is_kept(name: str) -> bool:
    """Return whether a key belongs to the model itself, and not to its files, its code or its dtype."""
    return name not in _DROPPED and not name.startswith("_")


def _sizes(keys: Dict[str, Any], names: Dict[str, str]) -> _Sizes:
    hidden, heads, layers = (
        _number(keys, names, name) for name in ("hidden_size", "num_attention_heads", "num_hidden_layers")
    )
    if not hidden or not layers:
        message = "its configuration names no width or no layers"
        raise ValueError(message)
    # A model without attention (Mamba) has no heads.
    heads = heads or 1
    head = next((keys[name] for name in _HEAD_WIDTHS if isinstance(keys.get(name), int)), hidden // heads)
    is_plain = head * heads == hidden or "kv_lora_rank" in keys
    share = keys.get("partial_rotary_factor") or keys.get("rotary_pct") or 1.0
    rope = keys.get("rope_parameters")
    if isinstance(rope, dict):
        share = rope.get("partial_rotary_factor") or share
    return _Sizes(hidden, heads, head, HEAD_WIDTH if is_plain else OTHER_HEAD_WIDTH, layers, int(head * share) // 2)


def _number(keys: Dict[str, Any], names: Dict[str, str], name: str) -> Optional[int]:
    for candidate in (names.get(name, name), name):
        value = keys.get(candidate)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _chosen_layers(keys: Dict[str, Any], layers: int) -> Tuple[int, ...]:
    """Return two layers of the full model, of different kinds if it has some."""
    kinds = [value for value in keys.values() if isinstance(value, (list, tuple)) and len(value) == layers]
    for other in range(1, layers):
        if any(each[other] != each[0] for each in kinds):
            return (0, other)
    return tuple(range(min(LAYERS, layers)))


def _backbone(keys: Dict[str, Any], names: Dict[str, str], sizes: _Sizes) -> Dict[str, Any]:
    """Return width, heads and layers under the names that this model has for them."""
    small: Dict[str, Any] = {
        names.get("hidden_size", "hidden_size"): HIDDEN,
        names.get("num_attention_heads", "num_attention_heads"): HEADS,
        names.get("num_hidden_layers", "num_hidden_layers"): min(LAYERS, sizes.layers),
    }
    for name in _KV_HEADS:
        if name in keys and not isinstance(keys[name], bool):
            # None means as many as heads, and some classes compute with it.
            small[name] = _kv_heads(keys[name] or sizes.heads, sizes.heads)
    if "head_dim" in keys and keys["head_dim"] is None:
        small["head_dim"] = sizes.new_head
    for expansion, count, width, groups in _STATE_SPACE:
        if isinstance(keys.get(expansion), int) and count in keys and width in keys:
            small[width], small[count] = HEAD_WIDTH, keys[expansion] * HIDDEN // HEAD_WIDTH
            small[groups] = 1
    if "attention_types" in keys:
        # GPT-Neo's pairs of kinds and how often they are repeated.
        small["attention_types"] = [
            [list(kinds)[:LAYERS], LAYERS // len(list(kinds)[:LAYERS])] for kinds, _ in keys["attention_types"][:1]
        ]
    small["use_cache"] = False
    return small


def _kv_heads(count: int, heads: int) -> int:
    """Return the key-value heads: as many as heads, one, or a number between, as in the full model."""
    if count == heads:
        return HEADS
    return 1 if count == 1 else HEADS // 2


def _tokens(keys: Dict[str, Any], names: Dict[str, str], vocabulary: int, special: Tuple[int, int]) -> Dict[str, Any]:
    """Return the vocabulary and the token ids, none of which may lie beyond it."""
    small: Dict[str, Any] = {name: vocabulary for name, value in keys.items() if _is_vocabulary(name, value)}
    small[names.get("vocab_size", "vocab_size")] = vocabulary
    for name, value in keys.items():
        if re.search(r"(token|sep)_(id|index)$", name) and isinstance(value, int) and value >= vocabulary:
            small[name] = vocabulary - 1
    small.update(bos_token_id=special[0], eos_token_id=special[1])
    # The padding token gets no gradient. Without one in the full model, there is none here.
    small["pad_token_id"] = None if keys.get("pad_token_id") is None else special[1]
    return small


def _is_vocabulary(name: str, value: Any) -> bool:
    return "vocab_size" in name and isinstance(value, int) and not isinstance(value, bool)


def _value(name: str, value: Any, keys: Dict[str, Any], sizes: _Sizes, chosen: Tuple[int, ...]) -> Any:
    """Return the small value of one key."""
    if isinstance(value, bool) or value is None or isinstance(value, (str, float)):
        return value
    if isinstance(value, dict):
        return _dict(value, keys, sizes, chosen)
    if isinstance(value, (list, tuple)):
        return _list(name, value, keys, sizes, chosen)
    return _integer(name, value, keys, sizes)


def _dict(values: Dict[Any, Any], keys: Dict[str, Any], sizes: _Sizes, chosen: Tuple[int, ...]) -> Dict[Any, Any]:
    """Return the small values of a table; one by the numbers of layers keeps the layers that are left."""
    if values and all(str(key).isdigit() for key in values):
        places = {str(layer): place for place, layer in enumerate(chosen)}
        values = {type(key)(places[str(key)]): part for key, part in values.items() if str(key) in places}
    return {key: _value(str(key), part, keys, sizes, chosen) for key, part in values.items()}


def _list(name: str, values: Sequence[Any], keys: Dict[str, Any], sizes: _Sizes, chosen: Tuple[int, ...]) -> List[Any]:
    if len(values) == sizes.layers and sizes.layers > LAYERS:
        return [_value(name, values[index], keys, sizes, chosen) for index in chosen]
    if name in ("short_factor", "long_factor"):
        return list(values)[: _new_rotary_half(sizes)]
    if name.endswith("mrope_section") and sum(values):
        return sections(values, _new_rotary_half(sizes))
    if name.endswith(("_layers", "_layer_ids", "_layer_indices", "_idxs")):
        # The numbers of the chosen layers, as their places among the layers that are left.
        return [place for place, layer in enumerate(chosen) if layer in values]
    return list(values)


def _new_rotary_half(sizes: _Sizes) -> int:
    return max(1, sizes.rotary_half * sizes.new_head // sizes.head)


def sections(values: Sequence[int], total: int) -> List[int]:
    """Return the sections of multimodal rotary positions in the same proportion, with the sum ``total``."""
    whole = sum(values)
    sections = [max(1, value * total // whole) for value in values]
    sections[-1] += total - sum(sections)
    return sections


def _integer(name: str, value: int, keys: Dict[str, Any], sizes: _Sizes) -> int:
    small = value
    if name.startswith("qk_head"):
        small = _FIXED[name]
    elif name in _FIXED:
        small = min(value, _FIXED[name])
    elif name in _HEAD_WIDTHS:
        # DeepSeek calls the rotary part of a head its width.
        small = HEAD_WIDTH // 2 if value == keys.get("qk_rope_head_dim") else sizes.new_head
    elif name in _ROTARY_WIDTHS:
        small = max(2, value * sizes.new_head // sizes.head // 2 * 2)
    elif name in _INTERMEDIATE:
        small = min(value, INTERMEDIATE)
    elif name in _POSITIONS:
        small = value if _scales_positions(keys) else min(value, MAX_POSITIONS)
    elif value == sizes.hidden:
        small = HIDDEN
    elif _WIDTH.search(name) and not _NO_WIDTH.search(name):
        small = min(value, MAX_WIDTH)
    return small


def _scales_positions(keys: Dict[str, Any]) -> bool:
    """Return whether the rotary positions are stretched: the stretch depends on the number of positions."""
    scaling = keys.get("rope_scaling") or keys.get("rope_parameters")
    return isinstance(scaling, dict) and any(key for key in scaling if "factor" in str(key) or "original" in str(key))
