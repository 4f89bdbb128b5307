"""Known issues that apply to the installed versions."""

from __future__ import annotations

from tests.checks import findings_of
from tests.facts import GOOD, MISSING_SYMBOL, SHIPPED, examination, failed, failure, matrix, probe_run
from vc2doctor.checks import vc005_known_issue as check
from vc2doctor.checks.plan import JudgedAs
from vc2doctor.findings import Severity

BROKEN = {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.14.0", "numpy": "2.4.6", "accelerate": "0.34.2"}
HALF = {"torch": "2.13.0", "transformers": "4.40.1", "peft": "0.10.0", "numpy": "2.4.6", "accelerate": "1.15.0"}


def test_versions_without_known_issue_have_no_finding() -> None:
    assert findings_of(check, examination()) == []


def test_pair_is_named_with_its_versions_and_both_remedies() -> None:
    (finding,) = findings_of(check, examination(BROKEN))
    assert finding.severity is Severity.ERROR
    assert finding.message.startswith("peft 0.14.0 with transformers 4.36.2: ")
    assert "/env/bin/python -m pip install peft==0.13.2" in finding.commands
    assert finding.url == "https://github.com/haotian-liu/LLaVA/issues/1794"
    assert finding.packages == ("peft", "transformers")
    assert not any("nevertheless" in text for text in finding.evidence)
    assert "in a precision that works here" not in finding.remedy, "the defect is one of every precision"


def test_exception_of_the_probe_is_evidence() -> None:
    probe = probe_run(recipes=(), adapter=None, import_package="peft", import_failure=MISSING_SYMBOL)
    (finding,) = findings_of(check, examination(BROKEN, probe=probe))
    issue = next(each for each in SHIPPED.issues if each.id == "peft-encoderdecodercache")
    assert issue.evidence not in finding.evidence, "the exception shows more than how the boundaries were found"
    (by_versions,) = findings_of(check, examination(BROKEN))
    assert by_versions.evidence[-1] == issue.evidence
    assert any("peft/peft_model.py:37" in text and "has no EncoderDecoderCache" in text for text in finding.evidence)


def test_training_that_worked_here_turns_the_error_into_a_warning() -> None:
    (finding,) = findings_of(check, examination(BROKEN, probe=probe_run()))
    assert finding.severity is Severity.WARNING
    assert "the probe trained here under bf16 nevertheless" in finding.evidence
    assert "in a precision that works here" not in finding.remedy, "the defect is one of every precision"


def test_known_issue_the_probe_cannot_see_stays_an_error_after_training() -> None:
    versions = {"torch": "2.2.2", "transformers": "4.40.1", "peft": "0.13.0", "numpy": "2.0.0"}
    (finding,) = [
        finding
        for finding in findings_of(check, examination(versions, probe=probe_run()))
        if "NumPy" in finding.message
    ]
    assert finding.severity is Severity.ERROR


def test_known_issue_of_another_precision_is_a_note() -> None:
    (finding,) = findings_of(check, examination(HALF))
    assert finding.severity is Severity.NOTE


def test_known_issue_of_the_deciding_precision_is_an_error_with_other_precisions() -> None:
    error = failure("Attempting to unscale FP16 gradients.", type="ValueError")
    probe = probe_run(failed("fp16-scaled", error, "optimizer"))
    (finding,) = findings_of(check, examination(HALF, probe=probe, planned={"precision": "fp16-scaled"}))
    assert finding.severity is Severity.ERROR
    assert "Or train in a precision that works here: bf16, " in finding.remedy
    assert any("Attempting to unscale FP16 gradients" in text for text in finding.evidence)


def test_fix_does_not_lead_to_another_known_issue() -> None:
    # Two issues apply to peft 0.17 with transformers 4.36. The first fix of the second issue leads to the first again.
    versions = {**BROKEN, "peft": "0.17.0"}
    first, second = findings_of(check, examination(versions))
    assert "HybridCache" in second.message
    for finding in (first, second):
        assert finding.commands[0] == "/env/bin/python -m pip install peft==0.13.2"


GEMMA = {"torch": "2.13.0", "transformers": "5.7.0", "peft": "0.21.2", "numpy": "2.4.6", "accelerate": "1.15.0"}


def gemma_findings(*model_types: str, precision: str = "fp16-scaled") -> list[Severity]:
    judged_as = JudgedAs(subject="x", reason="x", model_types=model_types)
    examined = examination(GEMMA, planned={"precision": precision, "judged_as": judged_as})
    return [finding.severity for finding in findings_of(check, examined) if "Gemma 4" in finding.message]


def test_known_issue_of_one_model_is_an_error_for_it_a_note_for_unknown_models_and_nothing_for_others() -> None:
    assert gemma_findings("gemma4", "gemma4_text") == [Severity.ERROR]
    assert gemma_findings() == [Severity.NOTE]
    assert gemma_findings("qwen2") == []
    assert gemma_findings("gemma4", precision="bf16") == [Severity.NOTE]


def test_defect_of_the_model_that_is_trained_has_the_remedy_of_a_conflict() -> None:
    (issue,) = (each for each in SHIPPED.issues if each.model_types == ("gemma4",))
    nothing_measured = matrix().model_copy(update={"issues": (issue,)})
    remedies = []
    for model_types in (("gemma4",), ()):
        judged_as = JudgedAs(subject="x", reason="x", model_types=model_types)
        planned = {"precision": "fp16-scaled", "judged_as": judged_as}
        (finding,) = findings_of(check, examination(GEMMA, matrix=nothing_measured, planned=planned))
        remedies.append(finding.remedy)
    of_the_model, of_an_unknown_model = remedies
    assert of_the_model.startswith("No change of versions is known to fix this")
    assert of_an_unknown_model.startswith("transformers>=5.10.1 is not affected")


def test_defect_that_the_probe_saw_comes_before_one_that_it_did_not_see() -> None:
    versions = {**BROKEN, "transformers": "4.40.2", "peft": "0.21.2"}
    unseen, missing = (finding.message for finding in findings_of(check, examination(versions)))
    assert unseen.startswith("peft 0.21.2 with torch 2.13.0 and transformers 4.40.2: peft from 0.18 reads")
    probe = probe_run(recipes=(), adapter=None, import_package="peft", import_failure=MISSING_SYMBOL)
    first, second = (finding.message for finding in findings_of(check, examination(versions, probe=probe)))
    assert (first, second) == (missing, unseen)
    assert "import EncoderDecoderCache" in first


def test_a_defect_of_a_package_is_an_error_where_the_code_imports_it() -> None:
    versions = {**GOOD, "setfit": "1.1.1", "sentence-transformers": "4.1.0"}
    for imported, severity in (("setfit:Trainer", Severity.ERROR), ("datasets:Dataset", Severity.WARNING)):
        judged = examination(versions).model_copy(update={"imported": frozenset({imported})})
        (finding,) = [each for each in findings_of(check, judged) if "setfit" in each.packages]
        assert finding.severity is severity
        assert finding.commands == ("/env/bin/python -m pip install 'setfit>=1.1.2'",)
