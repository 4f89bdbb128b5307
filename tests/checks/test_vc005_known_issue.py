"""Reported defects."""

from __future__ import annotations

from tests.checks import found_by
from tests.facts import MISSING_SYMBOL, examination, failed, failure, probe_run
from vc2doctor.checks import vc005_known_issue as check
from vc2doctor.findings import Severity

BROKEN = {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.14.0", "numpy": "2.4.6", "accelerate": "0.34.2"}
HALF = {"torch": "2.13.0", "transformers": "4.40.1", "peft": "0.10.0", "numpy": "2.4.6", "accelerate": "1.15.0"}


def test_nothing_is_known_against_it() -> None:
    assert found_by(check, examination()) == []


def test_the_pair_is_named_with_versions_and_both_ways_out() -> None:
    (finding,) = found_by(check, examination(BROKEN))
    assert finding.severity is Severity.ERROR
    assert finding.message.startswith("peft 0.14.0 with transformers 4.36.2: ")
    assert "/env/bin/python -m pip install peft==0.13.2" in finding.commands
    assert finding.url == "https://github.com/haotian-liu/LLaVA/issues/1794"


def test_what_the_probe_raised_is_its_evidence() -> None:
    probe = probe_run(recipes=(), adapter=None, import_package="peft", import_failure=MISSING_SYMBOL)
    (finding,) = found_by(check, examination(BROKEN, probe=probe))
    assert any("peft/peft_model.py:37" in text and "has no EncoderDecoderCache" in text for text in finding.evidence)


def test_what_trained_here_outweighs_a_report() -> None:
    (finding,) = found_by(check, examination(BROKEN, probe=probe_run()))
    assert finding.severity is Severity.WARNING
    assert "yet the probe trained here under bf16" in finding.evidence


def test_but_not_one_that_the_probe_cannot_see() -> None:
    versions = {"torch": "2.2.2", "transformers": "4.40.1", "peft": "0.13.0", "numpy": "2.0.0"}
    (finding,) = [f for f in found_by(check, examination(versions, probe=probe_run())) if "NumPy" in f.message]
    assert finding.severity is Severity.ERROR


def test_an_issue_of_another_precision_is_a_note() -> None:
    (finding,) = found_by(check, examination(HALF))
    assert finding.severity is Severity.NOTE


def test_in_the_precision_that_it_spoils_it_is_an_error_with_a_way_out() -> None:
    raised = failure("Attempting to unscale FP16 gradients.", type="ValueError")
    probe = probe_run(failed("fp16-scaled", raised, "optimizer"))
    (finding,) = found_by(check, examination(HALF, probe=probe, planned={"precision": "fp16-scaled"}))
    assert finding.severity is Severity.ERROR
    assert "Or train in a precision that works here: bf16, " in finding.remedy
    assert any("Attempting to unscale FP16 gradients" in text for text in finding.evidence)


def test_a_fix_does_not_cause_the_next_error() -> None:
    # Under transformers 4.36 peft 0.17 meets two defects; the first fix of the second would meet the first again.
    versions = {**BROKEN, "peft": "0.17.0"}
    first, second = found_by(check, examination(versions))
    assert "HybridCache" in second.message
    for finding in (first, second):
        assert finding.commands[-1] == "/env/bin/python -m pip install 'peft>=0.13,<0.14'"
