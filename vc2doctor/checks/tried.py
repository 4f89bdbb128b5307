"""What the probe tried, and what nobody tried: the verdict line names both."""

from vc2doctor.checks.plan import Plan
from vc2doctor.core.data import Data

NOT_TRIED = ("transformers.Trainer", "trl's trainers", "multi-GPU wrappers", "flash attention")
"""What the plain loop of the probe does not go through."""


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
