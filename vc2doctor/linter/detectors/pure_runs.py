"""Runs of Lightning that keep the parameters themselves in a half precision: ``16-true`` and ``bf16-true``."""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.detectors.trained_dtype import BFLOAT16_EFFECT
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.run_settings import Precision, Setting

_URL = "https://lightning.ai/docs/pytorch/stable/common/precision_basic.html"
_EFFECTS = {
    "fp16": "AdamW's eps of 1e-8 is 0 there, and no loss scaling protects small gradients",
    "bf16": BFLOAT16_EFFECT,
}


def pure_runs(facts: Facts) -> Iterator[CodeFinding]:
    """Yield the settings of Lightning that train parameters in a half precision, each once (VC109)."""
    reported: set[tuple[str, int]] = set()
    for unit in facts.code.units.values():
        for run in facts.runs.of(unit):
            for settings in run.of("lightning"):
                pure = settings.pure
                if pure is not None and (pure.path, pure.line) not in reported and _trains(facts, run):
                    reported.add((pure.path, pure.line))
                    yield _finding(pure)


def _trains(facts: Facts, run: Run) -> bool:
    """Return whether a program of a run trains; a run without a program is one of a configuration file."""
    return not run.modules or any(facts.stages.module_trains(module) for module in run.modules)


def _finding(pure: Setting[Precision]) -> CodeFinding:
    return build.at_line(
        pure.path,
        pure.line,
        "VC109",
        Severity.WARNING,
        f"the parameters themselves are trained in half precision ({pure.text}): {_EFFECTS[pure.value]}",
        evidence=(pure.place, "the -true precisions of Lightning keep no float32 copies of the weights"),
        remedy="Use bf16-mixed or 16-mixed, which keep the parameters in float32.",
        url=_URL,
        role="config",
    )
