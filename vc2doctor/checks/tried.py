"""The plain loop of the probe, named as the doors are: the verdict line says what was tried."""

from vc2doctor.checks.plan import Plan
from vc2doctor.core.data import Data


class Tried(Data):
    """One way to train, as the verdict line names it: it has the fields of a door."""

    title: str
    outcome: str = "passed"
    description: str = ""
    matters: bool = True


def plain_loop(plan: Plan) -> Tried:
    """Return the loop of the probe, which trains the user's own model or the miniature."""
    subject = plan.entry or plan.checkpoint
    return Tried(title=f"a plain loop on {subject}" if subject else "a plain loop")
