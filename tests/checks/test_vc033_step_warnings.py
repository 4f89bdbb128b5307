"""What torch warned of in the training steps of the user's model, as findings."""

from __future__ import annotations

from tests.checks import findings_of
from tests.facts import examination, probe_run, recipe
from vc2doctor.checks import vc033_step_warnings as check
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.failed_step import StepWarning

HOOK = StepWarning(
    category="FutureWarning", message="Using a non-full backward hook when the forward", count=6, file="m.py", line=3
)
SCHEDULE = HOOK.model_copy(update={"message": "Detected call of `lr_scheduler.step()` before `optimizer.step()`."})
OTHER = HOOK.model_copy(update={"message": "a prototype"})


def found(*warnings: StepWarning, name: str = "bf16") -> list[Finding]:
    return findings_of(check, examination(probe=probe_run(recipe("fp32"), recipe(name, warnings=warnings))))


def test_a_warning_of_wrong_gradients_names_its_line() -> None:
    (finding,) = found(HOOK, HOOK, OTHER)
    assert finding.severity is Severity.WARNING
    assert finding.message.endswith("gets the gradients of the last operation, and not those of the module (m.py:3)")
    assert finding.evidence == (f"FutureWarning, raised 6 times: {HOOK.message}",)


def test_an_order_that_a_resumed_schedule_has_too_is_a_note() -> None:
    assert [finding.severity for finding in found(SCHEDULE)] == [Severity.NOTE]


def test_recipes_that_decide_nothing_are_left_out() -> None:
    assert found(HOOK, name="fp16-amp") == []
