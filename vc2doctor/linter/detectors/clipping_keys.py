"""Gradient clipping in configurations: keys whose limit turns clipping off."""

from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.entry_points import launch_uses
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import Config, ConfigEntry

CLIPPING_KEYS = ("max_grad_norm", "clip_grad", "grad_clip", "gradient_clip_val", "gradient_clipping", "clip_grad_norm")
CLIPPING_URL = "https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html"

NEGATIVE_LIMIT = (
    "a negative limit is off where the loop guards with `> 0`; clip_grad_norm_ itself would turn the gradients round"
)
_HALF_VALUES = (True, "fp16", "bf16", "float16", "bfloat16")
_HALF_KEYS = {"fp16", "bf16", "amp", "use_half_precision", "mixed_precision", "use_bf16", "use_amp"}


def limits_that_are_off(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield one finding for each key that turns clipping off; copies of it in several configurations are one.

    The keys of known launchers are left to the runs, whose commands can override them.
    """
    copies: dict[tuple[str, str], list[tuple[Config, ConfigEntry]]] = defaultdict(list)
    for config in unit.configs:
        settings = facts.runs.settings_of(config)
        is_of_launcher = settings is not None and settings.clipping is not None
        if _trains_in_half(config) and not is_inference_path(config.name) and not is_of_launcher:
            for entry in config.entries:
                is_limit = entry.last_key in CLIPPING_KEYS and (is_off(entry.value) or _is_null(config, entry))
                if is_limit and not _is_overridden(unit, config, entry):
                    copies[entry.key, repr(entry.value)].append((config, entry))
    for (key, value), entries in copies.items():
        yield _finding(key, value, entries)


def _finding(key: str, value: str, entries: list[tuple[Config, ConfigEntry]]) -> CodeFinding:
    (config, entry), *others = entries
    count = f", in {len(entries)} configurations" if others else ""
    return build.at_entry(
        config,
        entry,
        "VC105",
        Severity.WARNING,
        f"{key} = {value}: gradients are not clipped, in half precision{count}",
        evidence=(NEGATIVE_LIMIT,) if value.startswith("-") else (),
        remedy=f"Set it to a positive limit, for example {entry.last_key}=1.0.",
        url=CLIPPING_URL,
        also=build.entry_places(others),
    )


def _is_null(config: Config, entry: ConfigEntry) -> bool:
    """Return whether a file of the project's own gives ``null`` as a limit: the code then clips nothing."""
    return entry.value is None and config.read_by == "code" and config.kind != "python"


def _is_overridden(unit: Unit, config: Config, entry: ConfigEntry) -> bool:
    """Return whether every launch with this configuration sets a positive limit: ``optimizer.max_grad_norm 5``."""
    launches = [launch for launch in unit.launches if launch_uses(launch, config)]
    flags = [launch.flags.get(entry.key) for launch in launches]
    return bool(flags) and all(flag is not None and _is_positive(flag.value) for flag in flags)


def _is_positive(text: str | None) -> bool:
    try:
        return text is not None and float(text) > 0
    except ValueError:
        return False


def _trains_in_half(config: Config) -> bool:
    if config.get("evaluate") is True or config.get("run.evaluate") is True:
        return False
    keys = {entry.last_key for entry in config.entries if entry.value in _HALF_VALUES}
    return bool(keys & _HALF_KEYS)


def is_off(value: object) -> bool:
    """Return whether a limit of gradient clipping means no clipping: a number that is not positive."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value <= 0
