"""Gradient clipping in configurations: keys whose limit turns clipping off."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from posixpath import normpath

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES
from vc2doctor.linter.analyse.entry_points import launch_uses
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import Stage, is_inference_path
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import Config, ConfigEntry
from vc2doctor.linter.read.module import Module

CLIPPING_KEYS = (
    *("max_grad_norm", "clip_grad", "grad_clip", "gradient_clip_val", "gradient_clipping", "clip_grad_norm"),
    *("clip_max_norm", "grad_clip_norm", "grad_norm_clip", "clip_gradient", "gradient_clip", "clip_grad_value"),
)
CLIPPING_CALLS = frozenset(
    {"clip_grad_norm_", "clip_grad_value_", "clip_gradients", "clip_grad_norm", "clip_grads", "dispatch_clip_grad"}
)
"""Names of functions that clip gradients."""
MIN_ARGUMENTS = 3
"""Keys that a file and the arguments of a program have in common by chance are fewer."""
CLIPPING_URL = "https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html"

NEGATIVE_LIMIT = (
    "a negative limit is off where the loop guards with `> 0`; clip_grad_norm_ itself would turn the gradients round"
)
_HALF_VALUES = (True, "fp16", "bf16", "float16", "bfloat16")
_HALF_NAMES = {"16-mixed", "bf16-mixed", "16-true", "bf16-true", "fp16", "bf16"}
"""Values of a key ``precision``, as Lightning and others name half precisions."""
_BASE = "_base_"
"""The key with which mmengine's configurations name those that they are based on.

https://mmengine.readthedocs.io/en/latest/advanced_tutorials/config.html
"""
MAX_BASES = 32
"""Configurations that are followed. The limit ends files that name each other in long chains."""
_HALF_KEYS = {"fp16", "bf16", "amp", "use_half_precision", "mixed_precision", "use_bf16", "use_amp"}


def limits_that_are_off(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield one finding for each key that turns clipping off; copies of it in several configurations are one.

    The keys of known launchers are left to the runs, whose commands can override them.
    """
    copies: dict[tuple[str, str], list[tuple[Config, ConfigEntry]]] = defaultdict(list)
    for config in unit.configs:
        settings = facts.runs.settings_of(config)
        is_of_launcher = settings is not None and settings.clipping is not None
        is_own = is_of_arguments(unit, config)
        bases = bases_of(unit, config)
        # axolotl gives the key to the trainer only `if cfg.max_grad_norm`: an empty one leaves the default, 1.0.
        is_unset_by_null = config.kind == "python" or (settings is not None and settings.launcher == "axolotl")
        in_half = any(map(_trains_in_half, (config, *bases))) or (is_own and has_half_region(facts, unit.modules))
        if in_half and not is_inference_path(config.name) and not is_of_launcher:
            for entry in config.entries:
                is_null = entry.value is None and not is_unset_by_null and (config.read_by == "code" or is_own)
                is_taken_away = entry.value is None and _has_limit(bases, entry.key)
                is_switched_off = is_off(entry.value) or is_null or is_taken_away
                is_limit = (entry.last_key.lower() in CLIPPING_KEYS and is_switched_off) or _is_switch_off(entry)
                if is_limit and not _is_overridden(unit, config, entry) and not _is_foreign(facts, unit, config, entry):
                    copies[entry.key, repr(entry.value)].append((config, entry))
    for (key, value), entries in copies.items():
        yield _finding(key, value, entries)


def _is_switch_off(entry: ConfigEntry) -> bool:
    """Return whether an entry is the switch of a block for clipping, and is off: ``grad_clip.enable = False``."""
    block, _, name = entry.key.rpartition(".")
    return name in ("enable", "enabled") and block.rpartition(".")[2].lower() in CLIPPING_KEYS and entry.value is False


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


def bases_of(unit: Unit, config: Config) -> list[Config]:
    """Return the configurations that one is based on, through its key ``_base_``, directly or through others."""
    by_name = {each.name: each for each in unit.configs}
    found = [config]
    for count, current in enumerate(found):
        named = current.get(_BASE) if count < MAX_BASES else None
        folder = current.name.rpartition("/")[0]
        for path in [named] if isinstance(named, str) else named if isinstance(named, list) else ():
            base = by_name.get(normpath(f"{folder or '.'}/{path}")) if isinstance(path, str) else None
            if base is not None and base not in found:
                found.append(base)
    return found[1:]


def _has_limit(configs: list[Config], key: str) -> bool:
    """Return whether one of some configurations limits gradients by a key."""
    values = (config.get(key) for config in configs)
    return any(isinstance(value, int | float) and not is_off(value) for value in values)


def is_of_arguments(unit: Unit, config: Config) -> bool:
    """Return whether the keys of a file are arguments that the code of a unit declares, so that the code reads it."""
    keys = {entry.last_key for entry in config.entries}
    declared = keys & set(unit.arguments)
    return len(declared) >= MIN_ARGUMENTS and len(declared) * 2 >= len(keys)


def has_half_region(facts: Facts, modules: Iterable[Module]) -> bool:
    """Return whether training code in one of some modules computes in a half precision, or can."""
    chosen = set(modules)
    return any(
        region.place.module in chosen
        and region.stage is Stage.TRAINS
        and region.dtypes & HALF_DTYPES
        and not region.autocast.is_disabled
        and facts.values.is_reached(region.place) is not False
        for region in facts.autocast.regions
    )


def _is_overridden(unit: Unit, config: Config, entry: ConfigEntry) -> bool:
    """Return whether every launch with this configuration sets a positive limit: ``optimizer.max_grad_norm 5``."""
    launches = [launch for launch in unit.launches if launch_uses(launch, config)]
    flags = [launch.flags.get(entry.key) for launch in launches]
    return bool(flags) and all(flag is not None and is_positive(flag.value) for flag in flags)


def is_positive(text: str | None) -> bool:
    """Return whether the text of a flag is a number above zero."""
    try:
        return text is not None and float(text) > 0
    except ValueError:
        return False


def _is_foreign(facts: Facts, unit: Unit, config: Config, entry: ConfigEntry) -> bool:
    """Return whether a file came with weights that the project only runs: its own code trains and never reads the key.

    The files of a known launcher and of mmengine are read by code outside of the project.
    """
    if config.kind not in ("yaml", "json") or config.read_by != "code" or facts.runs.settings_of(config) is not None:
        return False
    reads = any(entry.last_key in module.source.text for module in facts.code.files.modules.values())
    return not reads and bool(facts.loops.of(unit)) and not any(launch_uses(each, config) for each in unit.launches)


def _trains_in_half(config: Config) -> bool:
    if config.get("evaluate") is True or config.get("run.evaluate") is True:
        return False
    keys = {entry.last_key for entry in config.entries if entry.value in _HALF_VALUES}
    names = {entry.value for entry in config.entries if entry.last_key == "precision" and isinstance(entry.value, str)}
    return bool(keys & _HALF_KEYS or names & _HALF_NAMES)


def is_off(value: object) -> bool:
    """Return whether a limit of gradient clipping means no clipping: a number that is not positive."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value <= 0
