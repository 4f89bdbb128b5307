"""The trained adapter cannot be saved, reloaded and used, or it changes on the way.

After the training the probe saves the adapter, loads it onto a fresh base model, compares the logits, and generates a
few tokens.

Why it matters: training is useless if its adapter cannot be loaded again.

What to do: install the module that is missing, or versions that were measured to train together.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import describe
from vc2doctor.findings import Finding, Severity

_PHASES = ("save", "reload", "generate")


def check(examination: Examination) -> Iterator[Finding]:
    """Find an adapter that cannot be reloaded, or that computes other logits afterwards."""
    adapter = examination.probe.adapter if examination.probe else None
    if adapter is None or (adapter.same and adapter.error is None):
        return
    if adapter.error is not None:
        failed_phase = next((phase for phase in _PHASES if phase not in adapter.done), "generate")
        message = f"the trained adapter cannot be used: {failed_phase} fails"
        evidence = describe(adapter.error)
        remedy, commands = advice.install_what_fails(examination, adapter.error)
    else:
        message = "the reloaded adapter computes other logits than the trained one"
        evidence = f"largest difference of the logits: {adapter.difference}"
        remedy, commands = advice.change_versions(examination)
    yield Finding(
        id="VC012",
        severity=Severity.ERROR,
        message=message,
        evidence=(evidence, f"after training under {adapter.recipe}"),
        remedy=remedy,
        commands=commands,
        url="https://huggingface.co/docs/peft/developer_guides/checkpoint",
    )
