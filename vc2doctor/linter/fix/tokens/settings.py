"""Finds float16 in YAML and JSON: accelerate's file, DeepSpeed's, arguments of transformers' trainer, own settings."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import yaml

from vc2doctor.core import parsing, yaml_parsing
from vc2doctor.linter import change
from vc2doctor.linter.fix.tokens.token import (
    AMBIGUOUS_TEXTS,
    PRECISION_KEY,
    QUANTIZED,
    SWITCH,
    TEXTS,
    Context,
    Token,
    shortened,
)
from vc2doctor.linter.model import Edit

_FLOAT16 = re.compile(r"(?<![a-z])(float16|fp16|half)(?![a-z])", re.IGNORECASE)
_WORDS = re.compile(rf"{_FLOAT16.pattern}|precision|dtype|{QUANTIZED.pattern}", re.IGNORECASE)
"""A file without any of these words says nothing about float16. It is not parsed."""
_TRAINER_KEYS = {
    *(
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
        "finetuning_type",
        "base_model",
        "micro_batch_size",
    ),
    *("num_train_epochs", "lr_scheduler_type", "lora_target"),
}
"""Keys of files whose ``fp16`` and ``bf16`` go to transformers' trainer: HfArgumentParser, LLaMA-Factory, axolotl."""
_ON, _OFF = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "null", "~", "")
_OWN_SWITCH = (
    "a switch that this program reads: every dtype, region and scaler that follows it is judged where it is written"
)

Node = yaml.Node


class Entry(NamedTuple):
    """A key with its value and the mapping that it is in."""

    key: yaml.ScalarNode
    value: Node
    beside: Mapping[str, tuple[yaml.ScalarNode, Node]]
    """The entries of the mapping by key."""
    top: Mapping[str, tuple[yaml.ScalarNode, Node]]
    """The entries of the whole file."""

    @property
    def name(self) -> str:
        """The key as text."""
        return str(self.key.value)

    @property
    def text(self) -> str | None:
        """The value as text; ``None``: it is a list or a mapping."""
        return str(self.value.value) if isinstance(self.value, yaml.ScalarNode) else None


def find(name: str, text: str, context: Context) -> Iterator[Token]:
    """Yield the tokens of a YAML or JSON file."""
    if not _WORDS.search(text):
        return
    try:
        # YAML has no tabs between tokens, and JSON has; a space is as wide.
        root = yaml_parsing.compose_yaml(text.replace("\t", " "))
    except parsing.MalformedError:
        for number, line in enumerate(text.split("\n"), 1):
            if _FLOAT16.search(line.partition("#")[0]):
                yield Token(name, number, shortened(line), refuses="this file cannot be read as YAML or JSON.")
        return
    if isinstance(root, yaml.MappingNode):
        for entry in _entries(root, _mapping(root)):
            token = _token(name, entry, context)
            if token is not None:
                yield token


def _mapping(node: yaml.MappingNode) -> dict[str, tuple[yaml.ScalarNode, Node]]:
    return {str(key.value): (key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def _entries(node: Node, top: Mapping[str, tuple[yaml.ScalarNode, Node]]) -> Iterator[Entry]:
    if isinstance(node, yaml.MappingNode):
        beside = _mapping(node)
        for key, value in beside.values():
            yield Entry(key, value, beside, top)
            yield from _entries(value, top)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _entries(each, top)


def _token(name: str, entry: Entry, context: Context) -> Token | None:
    text = entry.text
    start = Token(name, entry.key.start_mark.line + 1, shortened(f"{entry.name}: {'…' if text is None else text}"))
    if entry.name == "fp16" and text is None:
        return _block(start, entry)
    if SWITCH.match(entry.name) and text is not None and text.lower() not in _OFF:
        return _switch(start, entry, text, context)
    if text is None:
        return None
    if QUANTIZED.search(text) and "/" in text:
        reason = "a GPTQ, AWQ or Int4 base: its kernels take float16 only. Leave this program in float16."
        return start._replace(refuses=reason, is_obstacle=True)
    lower = text.strip().lower()
    if lower not in TEXTS or (lower in AMBIGUOUS_TEXTS and not PRECISION_KEY.search(entry.name)):
        return None
    return _value(start, entry, TEXTS[lower], context)


def _block(start: Token, entry: Entry) -> Token | None:
    """Return the token of DeepSpeed's ``"fp16": {"enabled": true}``."""
    block = _mapping(entry.value) if isinstance(entry.value, yaml.MappingNode) else {}
    enabled = block["enabled"][1] if "enabled" in block else None
    if isinstance(enabled, yaml.ScalarNode) and enabled.value.lower() in (*_OFF, "auto"):
        return None
    if not isinstance(enabled, yaml.ScalarNode) or enabled.value.lower() not in _ON:
        return start._replace(refuses='"enabled" of this block is no plain true or false. Write it out.')
    bf16 = entry.beside.get("bf16") or entry.beside.get("bfloat16")
    if bf16 is None:
        # The other keys of the block are about loss scaling, which DeepSpeed does not do for bfloat16.
        return start._replace(
            edits=(_replaced(start.path, entry.key, "bf16"), _with_text(start.path, entry.value, '{"enabled": true}'))
        )
    inner = _mapping(bf16[1]) if isinstance(bf16[1], yaml.MappingNode) else {}
    other = inner["enabled"][1] if "enabled" in inner else None
    if not isinstance(other, yaml.ScalarNode):
        return start._replace(refuses='the bf16 block beside it has no key "enabled". Write it out.')
    if other.value.lower() in _ON:
        return start._replace(refuses="both dtypes are on in this file. Turn the float16 block off.")
    return start._replace(edits=(_replaced(start.path, enabled, "false"), _replaced(start.path, other, "true")))


def _switch(start: Token, entry: Entry, text: str, context: Context) -> Token:
    if entry.name in context.reads:
        return start._replace(stays=_OWN_SWITCH)
    if text.lower() not in _ON or not _TRAINER_KEYS & set(entry.top):
        return start._replace(refuses="it is not known who reads this key. Say bfloat16 by hand.")
    bf16 = entry.beside.get("bf16")
    if bf16 is None:
        return start._replace(edits=(_replaced(start.path, entry.key, "bf16"),))
    other = bf16[1]
    if (
        not isinstance(other, yaml.ScalarNode)
        or other.value.lower() not in _OFF
        or not isinstance(entry.value, yaml.ScalarNode)
    ):
        return start._replace(refuses="fp16 and bf16 are both set here. Turn fp16 off and bf16 on.")
    return start._replace(edits=(_replaced(start.path, entry.value, "false"), _replaced(start.path, other, "true")))


def _value(start: Token, entry: Entry, new: str, context: Context) -> Token:
    is_of_accelerate = bool({"compute_environment", "distributed_type", "num_processes"} & set(entry.top))
    is_known = is_of_accelerate or bool(_TRAINER_KEYS & set(entry.top)) or new in context.strings
    is_known = is_known or (new == "bfloat16" and context.reads_dtype_by_name)
    if not isinstance(entry.value, yaml.ScalarNode) or not PRECISION_KEY.search(entry.name) or not is_known:
        return start._replace(refuses=f"it is not known whether the code that reads this takes {new}.")
    return start._replace(edits=(_replaced(start.path, entry.value, new),))


def _replaced(path: str, node: yaml.ScalarNode, text: str) -> Edit:
    """Return the edit that replaces a key or value and keeps its quotes."""
    quote = node.style if node.style in ("'", '"') else ""
    return _with_text(path, node, f"{quote}{text}{quote}")


def _with_text(path: str, node: Node, text: str) -> Edit:
    start, end = node.start_mark, node.end_mark
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        # A block ends where the next key starts. A flow mapping on the key's own line replaces it.
        last = node.value[-1][1].end_mark
        first = node.value[0][0].start_mark
        return change.replace_span(path, (first.line + 1, first.column), (last.line + 1, last.column), text)
    return change.replace_span(path, (start.line + 1, start.column), (end.line + 1, end.column), text)
