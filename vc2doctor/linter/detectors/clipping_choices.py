"""Hydra's files that switch Lightning's clipping off, beside a choice for its trainer that computes in half precision.

``python train.py experiment=base trainer=ddp_fp16`` composes both; neither file alone shows it.
"""

from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.detectors.clipping_keys import is_off
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import Config, ConfigEntry

_GROUP = "trainer"
_LIMIT = "trainer.gradient_clip_val"
_HALF = frozenset({"16", "16-mixed", "bf16", "bf16-mixed", "16-true", "bf16-true"})
"""https://lightning.ai/docs/pytorch/stable/common/trainer.html#precision"""
_URL = "https://lightning.ai/docs/pytorch/stable/advanced/training_tricks.html#gradient-clipping"


def limits_off_by_choice(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield the limits that are off in files which a half-precision choice of the trainer can be composed with."""
    choices = [config for config in unit.configs if _is_half_choice(config)]
    files: dict[str, list[tuple[Config, ConfigEntry]]] = defaultdict(list)
    for config in unit.configs if choices else ():
        entry = config.find(_LIMIT)
        settings = facts.runs.settings_of(config)
        # A run whose own files say both is judged as that run.
        is_of_run = settings is not None and settings.precision is not None
        if entry is not None and is_off(entry.value) and not is_of_run:
            root = next((_root_of(choice) for choice in choices if config.name.startswith(_root_of(choice))), None)
            if root is not None:
                files[root].append((config, entry))
    for root, entries in files.items():
        (config, entry), *others = entries
        choice = next(each for each in choices if _root_of(each) == root)
        name = choice.name.rpartition("/")[2].rpartition(".")[0]
        yield build.at_entry(
            config,
            entry,
            "VC105",
            Severity.NOTE,
            f"{_LIMIT} = {entry.value}: with trainer={name} gradients are not clipped, in half precision",
            evidence=(f"{choice.name} sets the precision",),
            remedy=f"Set a positive limit, for example 1.0, here or in {choice.name}.",
            url=_URL,
            role="config",
            also=build.entry_places(others),
        )


def _is_half_choice(config: Config) -> bool:
    """Return whether a file of the group ``trainer`` asks for a half precision and sets no limit itself."""
    folder = config.name.rpartition("/")[0].rpartition("/")[2]
    is_half = str(config.get("precision")) in _HALF
    return config.kind == "yaml" and folder == _GROUP and is_half and config.find("gradient_clip_val") is None


def _root_of(choice: Config) -> str:
    """Return the folder of Hydra's files: ``configs/`` for ``configs/trainer/ddp_fp16.yaml``."""
    return choice.name.rpartition("/")[0].removesuffix(_GROUP)
