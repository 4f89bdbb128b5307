"""Why a recipe went wrong: named causes, each decided by evidence. What no evidence decides stays unknown."""

from vc2doctor.probe.case import Case, Cause
from vc2doctor.probe.causes import CAUSES, mend_of, name_of
from vc2doctor.probe.model import ProbeRun, RecipeRun
from vc2doctor.probe.worker.recipes import RECIPES


def diagnose(run: RecipeRun, probe: ProbeRun) -> Cause | None:
    """Return the cause of a bad outcome, or ``None`` where nothing decides."""
    case = Case(run=run, recipe=RECIPES[run.recipe], probe=probe)
    for test in CAUSES:
        told = test(case)
        if told is not None:
            return Cause(id=name_of(test), told=told, mend=mend_of(test))
    return None
