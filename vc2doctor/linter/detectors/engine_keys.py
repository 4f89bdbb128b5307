"""DeepSpeed's file by itself: both precisions on, misspelled and refused keys, and text where a boolean belongs."""

from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.knowledge.deepspeed_releases import (
    BLOCK_KEYS,
    BOOLEAN_KEYS,
    frees_buffers_early,
    meant_key,
    meant_top_key,
    refuses_unknown_keys,
)
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import Config, ConfigEntry
from vc2doctor.linter.read.launchers.deepspeed import is_deepspeed

_URL = "https://www.deepspeed.ai/docs/config-json"
_GRADIENT_STAGE = 2
"""The stage of ZeRO that partitions gradients."""
_REFUSAL = (
    "read in DeepSpeed's source: releases before 0.17.1 ignore unknown keys here, later ones raise ValidationError"
)
_BF16_URL = f"{_URL}/#bfloat16-training-options"


def engine_keys(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield the settings of DeepSpeed's files that are wrong whatever the run is."""
    refuses = refuses_unknown_keys(facts.code.version(unit, "deepspeed"))
    for config in unit.configs:
        if not is_deepspeed(config) or is_inference_path(config.name):
            continue
        yield from _both_enabled(config)
        if frees_buffers_early(facts.code.version(unit, "deepspeed")):
            yield from _overlapping(config)
        yield from _meaningless(config, refuses=refuses)
        for entry in config.entries:
            yield from _of_entry(config, entry, refuses=refuses)


def _of_entry(config: Config, entry: ConfigEntry, *, refuses: bool | None) -> Iterator[CodeFinding]:
    block, _, key = entry.key.partition(".")
    if not key:
        yield from _unknown_at_top(config, entry)
    elif block in BLOCK_KEYS and key not in BLOCK_KEYS[block]:
        meant = meant_key(block, key)
        if meant is not None and "." not in key:
            yield _misspelled_in_block(config, entry, meant, refuses=refuses)
    elif block in BLOCK_KEYS and key == "enabled":
        yield from _text_as_switch(config, entry)
    elif block in BLOCK_KEYS and isinstance(entry.value, str):
        yield _text_as_value(config, entry, refuses=refuses)
    elif meant_top_key(block) is not None and key == "enabled":
        yield _misspelled_block(config, entry, block)


def _both_enabled(config: Config) -> Iterator[CodeFinding]:
    fp16 = config.find("fp16.enabled")
    bf16 = config.find("bf16.enabled") or config.find("bfloat16.enabled")
    if fp16 is None or bf16 is None or fp16.value is not True or bf16.value is not True:
        return
    yield build.at_entry(
        config,
        bf16,
        "VC106",
        Severity.ERROR,
        "this DeepSpeed configuration enables fp16 and bf16",
        evidence=(f"fp16 at {config.name}:{fp16.line}", "DeepSpeed asserts that they are not both on"),
        remedy='Set both to "auto", and decide by the run\'s flag.',
        url=_BF16_URL,
        role="config",
    )


def _overlapping(config: Config) -> Iterator[CodeFinding]:
    """Yield ``overlap_comm`` of ZeRO-2, for releases in which it can give NaN."""
    entry = config.find("zero_optimization.overlap_comm")
    if entry is None or entry.value is not True or config.get("zero_optimization.stage") != _GRADIENT_STAGE:
        return
    yield build.at_entry(
        config,
        entry,
        "VC106",
        Severity.NOTE,
        "overlap_comm of ZeRO-2 can give NaN in this release of DeepSpeed: it can free a buffer that is still in use",
        evidence=("https://github.com/deepspeedai/DeepSpeed/issues/7188: NaN with overlap_comm, and none without it",),
        remedy="If the norm of the gradients is NaN, set it to false, or use DeepSpeed 0.19 or later.",
        url="https://github.com/deepspeedai/DeepSpeed/pull/7965",
        role="config",
    )


def _meaningless(config: Config, *, refuses: bool | None) -> Iterator[CodeFinding]:
    """Yield one finding for each precision block with keys that mean nothing: a note if the release ignores them."""
    extra: dict[str, list[ConfigEntry]] = defaultdict(list)
    for entry in config.entries:
        block, _, key = entry.key.partition(".")
        is_known = block not in BLOCK_KEYS or not key or key in BLOCK_KEYS[block]
        if not is_known and "." not in key and meant_key(block, key) is None:
            extra[block].append(entry)
    effect = "DeepSpeed 0.17.1 and later refuse the file" if refuses is not False else "this release ignores it"
    for block, (first, *others) in extra.items():
        names = ", ".join(f'"{entry.last_key}"' for entry in (first, *others))
        yield build.at_entry(
            config,
            first,
            "VC106",
            _severity_of_unknown(None, refuses=refuses, is_other_on=False),
            f"the {block} block of DeepSpeed has no {'keys' if others else 'key'} {names}: {effect}",
            evidence=(_REFUSAL,),
            remedy=f"Remove {names}.",
            url=_url_of(block),
            role="config",
            also=build.entry_places((config, entry) for entry in others),
        )


def _misspelled_in_block(config: Config, entry: ConfigEntry, meant: str, *, refuses: bool | None) -> CodeFinding:
    """Return the finding about a key of a precision block that is another one, misspelled."""
    block, _, key = entry.key.partition(".")
    effect = f"{block} stays off" if meant == "enabled" else f'"{meant}" keeps its default'
    message = f'"{key}" in the {block} block is misspelled for "{meant}", so {effect}'
    evidence = [_REFUSAL]
    is_other_on = config.get(f"{_other(block)}.enabled") is True
    if meant == "enabled" and is_other_on:
        message += f", and the engine trains in {_other(block)}"
        evidence.append("spelled right, both precisions would be on, which DeepSpeed refuses")
    return build.at_entry(
        config,
        entry,
        "VC106",
        _severity_of_unknown(meant, refuses=refuses, is_other_on=is_other_on),
        message,
        evidence=tuple(evidence),
        remedy=f'Write "{meant}"{", and turn the other precision off" if is_other_on else ""}.',
        url=_url_of(block),
        role="config",
    )


def _other(block: str) -> str:
    return "fp16" if block.startswith("b") else "bf16"


def _url_of(block: str) -> str:
    return _BF16_URL if block.startswith("b") else f"{_URL}/#fp16-training-options"


def _severity_of_unknown(meant: str | None, *, refuses: bool | None, is_other_on: bool) -> Severity:
    if refuses or (meant == "enabled" and is_other_on):
        return Severity.ERROR
    return Severity.NOTE if meant is None and refuses is False else Severity.WARNING


def _text_as_value(config: Config, entry: ConfigEntry, *, refuses: bool | None) -> CodeFinding:
    """Return the finding about a text where a boolean or a number belongs: transformers fills only ``enabled``."""
    block, _, key = entry.key.partition(".")
    kind = "true or false" if key in BOOLEAN_KEYS else "a number"
    why = "transformers fills no other key of this block than enabled" if entry.value == "auto" else "it is a text"
    return build.at_entry(
        config,
        entry,
        "VC106",
        Severity.ERROR if refuses else Severity.WARNING,
        f'{block}.{key} is "{entry.value}", and DeepSpeed takes {kind}: the text reaches the engine as it is',
        evidence=(why, "DeepSpeed before 0.17.1 takes any text as true; later releases raise ValidationError"),
        remedy=f'Write {kind}, or remove "{key}".',
        url=_url_of(block),
        role="config",
    )


def _text_as_switch(config: Config, entry: ConfigEntry) -> Iterator[CodeFinding]:
    """Yield a switch that is text: ``"enabled": "false"``."""
    if not isinstance(entry.value, str) or entry.value == "auto":
        return
    is_false = entry.value.lower() in ("false", "no", "off", "0")
    block = entry.key.partition(".")[0]
    effect = f", and turn {block} on" if is_false else ""
    yield build.at_entry(
        config,
        entry,
        "VC106",
        Severity.ERROR if is_false else Severity.WARNING,
        f'{block}.enabled is the text "{entry.value}": DeepSpeed before 0.17.1 takes any text as true{effect}',
        evidence=("transformers compares the text with its own boolean, finds a mismatch, and raises ValueError",),
        remedy=f'Write {"false" if is_false else "true"} without quotes, or "auto".',
        url=_URL,
        role="config",
    )


def _unknown_at_top(config: Config, entry: ConfigEntry) -> Iterator[CodeFinding]:
    meant = meant_top_key(entry.key)
    if meant is None or config.find(meant) is not None:
        return
    is_clipping = meant == "gradient_clipping"
    yield build.at_entry(
        config,
        entry,
        "VC106",
        Severity.WARNING,
        f'DeepSpeed has no key "{entry.key}" and ignores it: "{meant}" is meant'
        + (", so the gradients are not clipped" if is_clipping else ""),
        remedy=f'Write "{meant}"' + ("." if is_clipping else ': {"enabled": …}.'),
        url=f"{_URL}/#gradient-clipping" if is_clipping else _URL,
        role="config",
    )


def _misspelled_block(config: Config, entry: ConfigEntry, block: str) -> CodeFinding:
    meant = meant_top_key(block)
    return build.at_entry(
        config,
        entry,
        "VC106",
        Severity.WARNING,
        f'DeepSpeed has no block "{block}" and ignores it: "{meant}" is meant, and stays off',
        remedy=f'Rename the block to "{meant}".',
        url=_URL,
        role="config",
    )
