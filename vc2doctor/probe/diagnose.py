"""Names the cause of a bad outcome: the first named cause whose evidence the facts show; without one it is unknown."""

from vc2doctor.probe import causes_of_data, causes, causes_of_errors, causes_of_movement  # isort: skip
from vc2doctor.probe.case import Case, Cause
from vc2doctor.probe.facts import ProbeRun, RecipeRun
from vc2doctor.probe.named_cause import CAUSES
from vc2doctor.target.shared.recipes import RECIPES

__all__ = ["CAUSES", "causes", "causes_of_data", "causes_of_errors", "causes_of_movement", "diagnose", "pages"]
# The order of these imports is the order in which causes are asked.


def diagnose(run: RecipeRun, probe: ProbeRun) -> Cause | None:
    """Return the cause of a bad outcome, or ``None`` if no evidence decides."""
    case = Case(run=run, recipe=RECIPES[run.recipe], probe=probe)
    for named in CAUSES:
        evidence = named.evidence(case)
        if evidence is not None:
            return Cause(id=named.id, description=evidence, remedy=named.remedy)
    return None


def pages() -> dict[str, str]:
    """Return the remedy of each cause, by its id."""
    return {named.id: named.remedy for named in CAUSES}
