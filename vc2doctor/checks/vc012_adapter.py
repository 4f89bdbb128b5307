"""The trained adapter does not survive being saved, reloaded and used.

After training the probe saves the adapter, reloads it onto a fresh base model, compares the logits, and generates a few
tokens. A week of training whose adapter cannot be reloaded is lost.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import describe
from vc2doctor.findings import Finding, Severity


def check(examination: Examination) -> Iterator[Finding]:
    """Find adapters that do not come back as they were."""
    adapter = examination.probe.adapter if examination.probe else None
    if adapter is None or (adapter.same and adapter.error is None):
        return
    phases = ("save", "reload", "generate")
    if adapter.error is not None:
        failed = next((phase for phase in phases if phase not in adapter.done), "generate")
        message = f"the trained adapter cannot be used: {failed} fails"
        evidence = describe(adapter.error)
        remedy, commands = advice.install_what_fails(examination, adapter.error)
    else:
        message = "the reloaded adapter does not give what the trained one gave"
        evidence = f"largest difference of the logits: {adapter.difference}"
        remedy, commands = advice.install_nearest(examination)
    yield Finding(
        id="VC012",
        severity=Severity.ERROR,
        message=message,
        evidence=(evidence, f"after training under {adapter.recipe}"),
        remedy=remedy,
        commands=commands,
        url="https://huggingface.co/docs/peft/developer_guides/checkpoint",
    )
