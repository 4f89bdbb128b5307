"""Turn one probe run into one line of evidence."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from vc2doctor.core import reading, writing
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.failure import Failure
from vc2doctor.core.limits import DESCRIPTION_SECONDS
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.environment import interpreter
from vc2doctor.environment.interpreter import TargetFacts
from vc2doctor.environment.model import COMPANION_PACKAGES
from vc2doctor.matrix.evidence import Cell, EvidenceLine
from vc2doctor.matrix.load import evidence_lines
from vc2doctor.probe.doors import door_outcomes, installed_doors
from vc2doctor.probe.facts import ProbeRun
from vc2doctor.probe.outcome import RecipeOutcome, outcomes
from vc2doctor.probe.run import probe
from vc2doctor.target.shared.recipes import DEFAULT_RECIPES

_UNMEASURED_DOORS = ("ddp",)
"""It starts two more processes that import the stack, which would double the time of a cell."""
DOOR_PACKAGES = ("trl", "datasets", "pyarrow", "bitsandbytes", "torchao", "lightning", "deepspeed")
"""Packages that doors need and the plain loop does not."""
MAX_MESSAGE_LENGTH = 300
"""Characters of an exception in the evidence."""
MAX_OUTPUT_LENGTH = 500
"""Characters of the probe's error output in a message; the last ones tell most."""


class EvidenceError(DoctorError):
    """An environment cannot be measured."""


class UnfinishedError(EvidenceError):
    """The probe did not run to its end."""

    exit_code = 3


def measure(python: str, name: str, device: str, timeout: float) -> EvidenceLine:
    """Probe the environment of the interpreter at ``python`` and return the line of evidence.

    Raises:
        EvidenceError: a package of the stack is missing.
        ObservationError: the interpreter did not say what is installed.
        TargetError: the interpreter cannot be started.
        UnfinishedError: the probe did not run to its end, which does not show how the cell behaves.
    """
    path = interpreter.find(python)
    facts = interpreter.observe(path, min(timeout, DESCRIPTION_SECONDS))
    names = [found.name for found in facts.distributions]
    doors = tuple(name for name in installed_doors(names) if name not in _UNMEASURED_DOORS)
    run = probe(path, device, list(DEFAULT_RECIPES), timeout, lambda _: None, {"doors": doors})
    # A crash (`signal`) is an outcome of the cell. A timeout or a full memory is one of this machine.
    if run.ending not in ("finished", "signal"):
        message = (
            f"{path}: the probe did not finish, so nothing was measured "
            f"(ending: {run.ending}, stage: {run.stage}): {run.child.errors[-MAX_OUTPUT_LENGTH:]}"
        )
        raise UnfinishedError(message)
    return line_of(facts, run, name, datetime.now(timezone.utc).date().isoformat())


def line_of(facts: TargetFacts, run: ProbeRun, name: str, date: str) -> EvidenceLine:
    """Return the line of evidence for a probe run.

    Raises:
        EvidenceError: a package of the stack is missing.
    """
    # Of two installations of one package, Python imports the first.
    versions = {found.name: found.version for found in reversed(facts.distributions) if found.version}
    missing = [axis for axis in STACK_PACKAGES if axis not in versions]
    if missing:
        message = f"{facts.interpreter.path}: {missing[0]} is not installed; install it, then measure again"
        raise EvidenceError(message)
    judged = [outcome for outcome in outcomes(run) if outcome.outcome is not None]
    return EvidenceLine(
        schema=1,
        name=name,
        date=date,
        worker=run.worker or "unknown",
        cell=Cell(
            python=facts.interpreter.minor,
            torch=versions["torch"],
            transformers=versions["transformers"],
            peft=versions["peft"],
        ),
        resolved={package: versions[package] for package in COMPANION_PACKAGES if package in versions},
        platform=f"{facts.platform.system.lower()}-{facts.platform.machine}",
        device=_device(run),
        import_failure=_shortened(run.import_failure) if run.import_failure else None,
        recipes={outcome.recipe: outcome.outcome for outcome in judged if outcome.outcome is not None},
        failures={outcome.recipe: _failure(run, outcome) for outcome in judged if outcome.outcome == "error"},
        adapter=_adapter(run),
        adapter_failure=_shortened(run.adapter.error) if run.adapter and run.adapter.error else None,
        **_doors(run, versions),
        seconds=run.child.seconds,
    )


def _doors(run: ProbeRun, versions: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields about doors; an outcome that is unknown is left out."""
    judged = [outcome for outcome in door_outcomes(run) if outcome.outcome in ("passed", "failed", "unsupported")]
    # Every installed door is opened here, chosen or not, so a release that lacks one has not failed.
    unavailable = {door.door for door in run.doors if door.unavailable is not None}
    return {
        "doors": {each.door: "unsupported" if each.door in unavailable else each.outcome for each in judged},
        "door_failures": {outcome.door: _shortened(outcome.error) for outcome in judged if outcome.error is not None},
        "door_packages": {name: versions[name] for name in DOOR_PACKAGES if name in versions},
    }


def append(path: Path, line: EvidenceLine) -> bool:
    """Add ``line`` to the file at ``path`` and return ``True``; ``False``: the file holds the same measurement already.

    Raises:
        MatrixError: the file holds something else.
        OutputError: the file cannot be written.
        ReadError: it is no regular file.
    """
    existing = list(evidence_lines(path)) if path.exists() else []
    if any(_is_same_measurement(line, other) for other in existing):
        return False
    append_lines(path, [line])
    return True


def append_lines(path: Path, lines: Sequence[EvidenceLine]) -> None:
    """Add ``lines`` to the file at ``path``, or write the file if there is none.

    Raises:
        OutputError: the file cannot be written.
        ReadError: it is no regular file.
    """
    text = reading.read_text(path) if path.exists() else ""
    writing.write_output(path, text + "".join(f"{line.text}\n" for line in lines))


def _is_same_measurement(line: EvidenceLine, other: EvidenceLine) -> bool:
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
    # An ImportError ends with a path in brackets. It belongs to this machine, not to the cell.
    return failure.model_copy(update={"message": failure.message.split(" (/")[0][:MAX_MESSAGE_LENGTH]})


def _adapter(run: ProbeRun) -> Literal["same", "different", "error", "not reached"]:
    if run.adapter is None:
        return "not reached"
    if run.adapter.error is not None:
        return "error"
    return "same" if run.adapter.same else "different"
