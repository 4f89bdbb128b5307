"""Runs that train in float16 a model whose activations leave its range: T5."""

import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.knowledge.overflowing_models import OVERFLOWING_CLASSES, OVERFLOWING_NAMES, URL
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Module

_NAME = re.compile(OVERFLOWING_NAMES, re.IGNORECASE)


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
