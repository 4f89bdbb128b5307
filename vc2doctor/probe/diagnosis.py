"""Why a recipe went wrong: named causes, each decided by evidence. What no evidence decides stays unknown."""

import inspect

from vc2doctor.probe.case import Case, Cause
from vc2doctor.probe.causes import CAUSES
from vc2doctor.probe.model import ProbeRun, RecipeRun
from vc2doctor.probe.worker.recipes import RECIPES


def diagnose(run: RecipeRun, probe: ProbeRun) -> Cause | None:
    """Return the cause of a bad outcome, or ``None`` where nothing decides."""
    case = Case(run=run, recipe=RECIPES[run.recipe], probe=probe)
    for test in CAUSES:
        told = test(case)
        if told is not None:
            mend = " ".join(inspect.cleandoc(test.__doc__ or "").split())
            return Cause(id=test.__name__.replace("_", "-"), told=told, mend=mend)
    return None
