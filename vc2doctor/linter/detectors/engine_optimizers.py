"""The optimizer of a run beside a DeepSpeed file that makes its own: the file wins, and nothing says so.

``deepspeed_optim_sched`` in
https://github.com/huggingface/transformers/blob/main/src/transformers/integrations/deepspeed.py
"""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.model import CodeFinding

_KEYS = {"transformers": "optim", "llama-factory": "optim", "axolotl": "optimizer"}
_PLAIN = frozenset({"adamw_torch", "adamw_hf", "adamw_torch_fused", "adamw"})
"""Names of the same AdamW as that of DeepSpeed's file."""
_URL = "https://huggingface.co/docs/transformers/deepspeed#optimizer-and-scheduler"


def engine_optimizers(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield the optimizers that runs ask for and that DeepSpeed's file replaces by another one (VC106)."""
    reported: set[tuple[str, int]] = set()
    for run in facts.runs.of(unit):
        own = run.engine.config.find("optimizer.type") if run.engine is not None else None
        asked = _asked_for(facts, run) if own is not None and run.is_of_trainer else None
        if own is None or run.engine is None or asked is None or asked[1:] in reported:
            continue
        name, path, line = asked
        reported.add((path, line))
        yield build.at_line(
            path,
            line,
            "VC106",
            Severity.NOTE,
            f"{name} is asked for here, and the DeepSpeed file makes {own.value}, which is used instead",
            evidence=(f"{run.engine.config.name}:{own.line} type: {own.value}",),
            remedy="Remove the optimizer from the DeepSpeed file, or this key.",
            url=_URL,
            role="config",
        )


def _asked_for(facts: Facts, run: Run) -> tuple[str, str, int] | None:
    """Return the optimizer that a run asks for by a file, with its place; ``None``: none, or AdamW in any spelling."""
    for settings in run.settings:
        entry = facts.runs.entry(settings.path, _KEYS.get(settings.launcher, ""))
        if entry is not None and isinstance(entry.value, str) and entry.value.lower() not in _PLAIN:
            return entry.value, settings.path, entry.line
    return None
