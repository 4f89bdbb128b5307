"""Turns one probe run into one line of evidence."""

from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from vc2doctor.core import writing
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.failure import Failure
from vc2doctor.environment import interpreter
from vc2doctor.environment.interpreter import TargetFacts
from vc2doctor.environment.model import COMPANION_PACKAGES
from vc2doctor.matrix.evidence import Cell, EvidenceLine
from vc2doctor.matrix.load import evidence_lines
from vc2doctor.probe.facts import ProbeRun
from vc2doctor.probe.outcome import RecipeOutcome, outcomes
from vc2doctor.probe.run import probe
from vc2doctor.target.shared.recipes import RECIPES


class EvidenceError(DoctorError):
    """An environment cannot be measured."""


def measure(python: str, name: str, device: str, timeout: float) -> EvidenceLine:
    """Probe the environment of the interpreter at ``python`` and return what came out.

    Raises:
        EvidenceError: it lacks a package of the stack, or the probe was cut short, which says nothing of the cell.
        TargetError: the interpreter cannot be started.
    """
    path = interpreter.find(python)
    facts = interpreter.observe(path)
    run = probe(path, device, list(RECIPES), timeout, lambda _: None)
    if run.ending not in ("finished", "signal"):
        message = f"{path}: the probe ended ({run.ending}) while {run.stage}: {run.child.errors[-500:]}"
        raise EvidenceError(message)
    return line_of(facts, run, name, datetime.now(timezone.utc).date().isoformat())


def line_of(facts: TargetFacts, run: ProbeRun, name: str, date: str) -> EvidenceLine:
    """Return the line of evidence for a probe run.

    Raises:
        EvidenceError: a package of the stack is missing.
    """
    versions = {found.name: found.version for found in reversed(facts.distributions) if found.version}
    try:
        cell = Cell(
            python=facts.interpreter.minor,
            torch=versions["torch"],
            transformers=versions["transformers"],
            peft=versions["peft"],
        )
    except KeyError as error:
        message = f"{facts.interpreter.path}: {error.args[0]} is not installed, so there is nothing to measure"
        raise EvidenceError(message) from error
    found = [outcome for outcome in outcomes(run) if outcome.outcome is not None]
    return EvidenceLine(
        schema=1,
        name=name,
        date=date,
        worker=run.worker or "unknown",
        cell=cell,
        resolved={other: versions[other] for other in COMPANION_PACKAGES if other in versions},
        platform=f"{facts.platform.system.lower()}-{facts.platform.machine}",
        device=_device(run),
        import_failure=_shortened(run.import_failure) if run.import_failure else None,
        recipes={outcome.recipe: outcome.outcome for outcome in found if outcome.outcome is not None},
        failures={outcome.recipe: _failure(run, outcome) for outcome in found if outcome.outcome == "error"},
        adapter=_adapter(run),
        adapter_failure=_shortened(run.adapter.error) if run.adapter and run.adapter.error else None,
        seconds=run.child.seconds,
    )


def append(path: Path, line: EvidenceLine) -> bool:
    """Add ``line`` to the file at ``path``, unless the same was measured before; return whether it was added.

    Raises:
        MatrixError: the file holds something else.
        OutputError: it cannot be written.
    """
    before = list(evidence_lines(path)) if path.exists() else []
    if any(_same(line, other) for other in before):
        return False
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    writing.replace(path, f"{text}{line.text}\n")
    return True


def _same(line: EvidenceLine, other: EvidenceLine) -> bool:
    return line.model_dump(exclude={"date", "seconds"}) == other.model_dump(exclude={"date", "seconds"})


def _device(run: ProbeRun) -> str:
    if run.device is None:
        return "none"
    return run.device.name or run.device.type


def _failure(run: ProbeRun, outcome: RecipeOutcome) -> Failure:
    recipe = run.recipe(outcome.recipe)
    if recipe is not None and recipe.failure is not None:
        return _shortened(recipe.failure.error)
    return Failure(type="Crash", message=outcome.description)


def _shortened(failure: Failure) -> Failure:
    # What is in brackets at the end of an ImportError is a path of this machine.
    return failure.model_copy(update={"message": failure.message.split(" (/")[0][:300]})


def _adapter(run: ProbeRun) -> Literal["same", "different", "error", "not reached"]:
    if run.adapter is None:
        return "not reached"
    if run.adapter.error is not None:
        return "error"
    return "same" if run.adapter.same else "different"
