"""The architecture of the user's model: missing in transformers, or not tried."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks import findings_of
from tests.facts import GOOD, examination, failure, probe_run
from vc2doctor import checks
from vc2doctor.checks import vc023_architecture as check
from vc2doctor.checks import verdict
from vc2doctor.checks.plan import JudgedAs
from vc2doctor.findings import Severity
from vc2doctor.probe.subject_facts import Architecture, ArchitectureFailure


def judged_as(model_type: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"judged_as": JudgedAs(subject=model_type, reason="config.json", model_types=(model_type,), **fields)}


def failed_at(stage: Any, **fields: Any) -> Any:  # noqa: ANN401
    return probe_run(architecture_failure=ArchitectureFailure(stage=stage, error=failure("no", **fields)))


def test_architecture_that_was_trained_has_no_finding_and_is_in_the_verdict() -> None:
    probe = probe_run(architecture=Architecture(model="Qwen2ForCausalLM", parameters=86592))
    examined = examination(probe=probe, planned=judged_as("qwen2"))
    assert findings_of(check, examined) == []
    assert examined.judged_as == "qwen2 with two layers (config.json)"


def test_transformers_without_the_architecture_is_an_error_with_the_release_that_has_it() -> None:
    examined = examination(planned=judged_as("qwen3"))
    (finding,) = findings_of(check, examined)
    assert finding.severity is Severity.ERROR
    assert finding.message == "transformers 4.40.1 has no architecture qwen3"
    assert "the wheels of transformers have it from 4.51.0 on" in finding.evidence
    (command,) = finding.commands
    assert command.startswith("/env/bin/python -m pip install transformers==")
    probed = examination(probe=failed_at("unknown", type="UnknownArchitectureError"), planned=judged_as("qwen3"))
    assert [each.message for each in findings_of(check, probed)] == [finding.message]
    assert probed.judged_as == "plain language model; qwen3 itself was not trained, see VC023"


def test_architecture_that_no_release_has_names_the_releases_that_were_read() -> None:
    examined = examination(probe=failed_at("unknown"), planned=judged_as("made_up"))
    (finding,) = findings_of(check, examined)
    assert finding.severity is Severity.WARNING, "the user's own code may register it"
    assert verdict.final_verdict(examined, checks.run(examined)) == "fit"
    assert any(text.startswith("no release that was read has it (4.28.0 to ") for text in finding.evidence)
    assert finding.commands == ("vc2doctor probe --entry module:function",)


@pytest.mark.parametrize("model_type", ["llama", "made_up"])
def test_architecture_that_may_be_there_has_no_finding_without_a_probe(model_type: str) -> None:
    assert findings_of(check, examination(planned=judged_as(model_type))) == []


@pytest.mark.parametrize(
    ("stage", "severity", "expected"),
    [
        ("import", Severity.ERROR, "unfit"),
        ("forward", Severity.WARNING, "unproven"),
        ("shrink", Severity.WARNING, "fit"),
        ("own-code", Severity.WARNING, "fit"),
    ],
)
def test_stage_that_failed_decides_severity_and_verdict(stage: str, severity: Severity, expected: str) -> None:
    examined = examination(probe=failed_at(stage), planned=judged_as("qwen2"))
    (finding,) = findings_of(check, examined)
    assert finding.severity is severity
    assert "the probe trained a plain language model instead" in finding.evidence
    assert verdict.final_verdict(examined, checks.run(examined)) == expected


def test_missing_stack_is_reported_by_vc001_only() -> None:
    versions = {name: version for name, version in GOOD.items() if name != "transformers"}
    assert findings_of(check, examination(versions, planned=judged_as("qwen3"))) == []
