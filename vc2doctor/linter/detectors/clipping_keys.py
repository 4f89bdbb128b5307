"""Limits of gradient clipping in configurations: which keys, and which of them turn it off."""

from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.entry_points import given_to
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import infers_by_path
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.config import Config, ConfigEntry

CLIP_KEYS = ("max_grad_norm", "clip_grad", "grad_clip", "gradient_clip_val", "gradient_clipping", "clip_grad_norm")


_NEGATIVE = (
    "a negative limit is off where the loop guards with `> 0`; clip_grad_norm_ itself would turn the gradients round"
)
CLIP_URL = "https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html"


def limits_that_are_off(unit: Unit) -> Iterator[CodeFinding]:
    """Yield a finding for each key of a configuration that turns clipping off, copies of it together."""
    copies: dict[tuple[str, str], list[tuple[Config, ConfigEntry]]] = defaultdict(list)
    for config in unit.configs:
        if not _trains_in_half(config) or infers_by_path(config.name):
            continue
        for entry in config.entries:
            if (
                entry.key.rpartition(".")[2] in CLIP_KEYS
                and is_off(entry.value)
                and not _overridden(unit, config, entry)
            ):
                copies[entry.key, repr(entry.value)].append((config, entry))
    for (key, value), places in copies.items():
        config, entry = places[0]
        also = tuple(CodePlace(path=other.name, line=each.line, end_line=each.line) for other, each in places[1:])
        count = f", in {len(places)} configurations" if also else ""
        yield build.at_entry(
            config,
            entry,
            "VC105",
            Severity.WARNING,
            f"{key} = {value}: gradients are not clipped, in half precision{count}",
            evidence=(_NEGATIVE,) if value.startswith("-") else (),
            remedy=f"Set it to a positive limit, for example {key.rpartition('.')[2]}=1.0.",
            url=CLIP_URL,
            also=also,
        )


def _overridden(unit: Unit, config: Config, entry: ConfigEntry) -> bool:
    """Say whether every launch with this configuration sets a positive limit: ``optimizer.max_grad_norm 5``."""
    mine = [launch for launch in unit.launches if given_to(launch, config)]
    return bool(mine) and all(_is_positive(launch.flags.get(entry.key, (None, 0))[0]) for launch in mine)


def _is_positive(value: str | None) -> bool:
    try:
        return value is not None and float(value) > 0
    except ValueError:
        return False


def _trains_in_half(config: Config) -> bool:
    if config.get("evaluate") is True or config.get("run.evaluate") is True:
        return False
    keys = {
        entry.key.rpartition(".")[2]
        for entry in config.entries
        if entry.value in (True, "fp16", "bf16", "float16", "bfloat16")
    }
    return bool(keys & {"fp16", "bf16", "amp", "use_half_precision", "mixed_precision", "use_bf16", "use_amp"})


def is_off(value: object) -> bool:
    """Return whether a limit of gradient clipping means no clipping: a number that is not positive."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value <= 0
