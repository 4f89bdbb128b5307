"""Keys of a project's own configurations that its code passes to accelerate as the precision."""

from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.config_keys import config_key
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import Config, ConfigEntry
from vc2doctor.linter.read.module import Call

_URL = "https://huggingface.co/docs/accelerate/usage_guides/mixed_precision"
_PRECISION_POSITION = 2
"""``Accelerator(device_placement, split_batches, mixed_precision)``."""


def accelerator_keys(unit: Unit) -> Iterator[CodeFinding]:
    """Yield the keys that make every run of an ``Accelerator`` float16; copies of a template are one finding."""
    copies: dict[str, list[tuple[Config, ConfigEntry]]] = defaultdict(list)
    callers: dict[str, Call] = {}
    for call in unit.calls.get("Accelerator", []):
        argument = call.argument("mixed_precision", _PRECISION_POSITION)
        key = config_key(argument) if argument is not None else None
        if key and key not in callers and not is_inference_path(call.place.module.name):
            callers[key] = call
    for config in unit.configs:
        for key in callers if config.read_by == "code" and not is_inference_path(config.name) else ():
            entry = config.find(key)
            if entry is not None and entry.value == "fp16":
                copies[key].append((config, entry))
    for key, entries in copies.items():
        yield _finding(key, entries, callers[key])


def _finding(key: str, entries: list[tuple[Config, ConfigEntry]], call: Call) -> CodeFinding:
    (config, entry), *others = entries
    count = f", in {len(entries)} configurations" if others else ""
    return build.at_entry(
        config,
        entry,
        "VC106",
        Severity.NOTE,
        f"{key} is 'fp16', and Accelerator gets it: float16 autocast with loss scaling, which is coherent{count}",
        evidence=(f"{build.place_of(call.place.module, call.node).location} {build.code(call.node)}",),
        remedy=f"For bfloat16, write {entry.last_key} = 'bf16' here.",
        url=_URL,
        role="config",
        also=build.entry_places(others),
        cause="float16",
        if_missed="accelerate's autocast and its scaler stay in float16",
        bf16_edits=tuple(
            change.replace_in_line(config_.name, entry_.line, "fp16", "bf16") for config_, entry_ in entries
        ),
    )
