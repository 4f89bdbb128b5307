"""Why a recipe went wrong: named causes, each decided by evidence. What no evidence decides stays unknown."""

from vc2doctor.probe.case import Case, Cause
from vc2doctor.probe.causes import CAUSES, name_of, remedy_of
from vc2doctor.probe.facts import ProbeRun, RecipeRun
from vc2doctor.target.shared.recipes import RECIPES


def diagnose(run: RecipeRun, probe: ProbeRun) -> Cause | None:
    """Return the cause of a bad outcome, or ``None`` where nothing decides."""
    case = Case(run=run, recipe=RECIPES[run.recipe], probe=probe)
    for test in CAUSES:
        told = test(case)
        if told is not None:
            return Cause(id=name_of(test), description=told, remedy=remedy_of(test))
    return None
