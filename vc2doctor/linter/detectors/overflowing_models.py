"""Runs that train in float16 a model whose activations leave its range: T5."""

import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.knowledge.overflowing_models import OVERFLOWING_CLASSES, OVERFLOWING_NAMES, URL, URL_OF_VAE
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Module

_NAME = re.compile(OVERFLOWING_NAMES, re.IGNORECASE)
_HAS_OVERFLOWING_VAE = re.compile(r"StableDiffusionXL|AutoencoderKLTemporalDecoder|StableVideoDiffusion")
_KEEPS_FLOAT32 = re.compile(r"fp16-fix|force_upcast|vae\.(to\([^)]*torch\.float32|float\(\))")
"""What programs have that use other weights, or take the autoencoder to float32 somewhere."""


def overflowing_models(facts: Facts) -> Iterator[CodeFinding]:
    """Yield a note for each setting of float16 in a run whose program builds or names such a model."""
    seen: set[tuple[str, int]] = set()
    for unit in facts.code.units.values():
        for run in facts.runs.of(unit):
            model = _model_of(run)
            for setting in run.precisions if model is not None else ():
                if setting.value == "fp16" and (setting.path, setting.line) not in seen:
                    seen.add((setting.path, setting.line))
                    yield build.at_line(
                        setting.path,
                        setting.line,
                        "VC110",
                        Severity.NOTE,
                        f"{setting.text} trains {model} in float16, in which the feed-forward layers of T5 overflow",
                        evidence=("T5 was trained in bfloat16; values above 65504 are reported from its layer wo",),
                        remedy="Train it in bfloat16 or in float32.",
                        url=URL,
                    )


def overflowing_encoders(facts: Facts) -> Iterator[CodeFinding]:
    """Yield a note for each autoencoder of SDXL or SVD that a program casts to float16 to encode its images."""
    for cast in facts.weights.casts:
        module = cast.call.place.module
        text = module.source.text
        is_vae = cast.name == "vae" and FLOAT16 in cast.dtypes and _HAS_OVERFLOWING_VAE.search(text) is not None
        trains = facts.stages.module_trains(module) and not facts.stages.infers_by_path(module)
        if is_vae and trains and not _KEEPS_FLOAT32.search(text):
            yield build.at_node(
                module,
                cast.call.node,
                "VC110",
                Severity.NOTE,
                f"{build.code(cast.call.node)} can make the autoencoder float16, in which "
                "that of SDXL and SVD overflows",
                evidence=("its configuration has force_upcast: diffusers' pipelines encode with it in float32",),
                remedy="Keep it in float32: vae.to(device, dtype=torch.float32), or use weights made for float16.",
                url=URL_OF_VAE,
            )


def _model_of(run: Run) -> str | None:
    """Return the class or the name of a model of a run that overflows float16, or ``None``."""
    named = (setting.value for settings in run.settings for setting in settings.models if _NAME.search(setting.value))
    built = (name for module in run.modules for name in _built_in(module))
    return next(iter((*named, *built)), None)


def _built_in(module: Module) -> Iterator[str]:
    """Yield the classes of transformers that a module builds or extends."""
    classes = {name for name, dotted in module.imports.items() if dotted.startswith("transformers")}
    for name in sorted(each for each in classes if each.startswith(OVERFLOWING_CLASSES)):
        if re.search(rf"\b{name}[.(]|\({name}\)", module.source.text):
            yield name
