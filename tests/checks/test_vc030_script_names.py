"""Names that the user's code imports and that the environment lacks."""

from __future__ import annotations

from typing import Any

from tests.checks import findings_of
from tests.facts import examination, probe_run
from vc2doctor.checks import vc030_script_names as check
from vc2doctor.checks.plan import CodeImport
from vc2doctor.core.failure import Failure, Missing
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.facts import MissingName, NamesRun

PLACES = (
    CodeImport(module="peft", name="get_peft_modle", path="train.py", line=2),
    CodeImport(module="peft", name="get_peft_modle", path="eval.py", line=7),
)
ERROR = Failure(
    type="ImportError",
    message="cannot import name 'get_peft_modle' from 'peft'",
    missing=Missing(module="peft", symbol="get_peft_modle"),
)


def findings(*missing: MissingName, code: tuple[Finding, ...] = (), **fields: Any) -> list[Finding]:  # noqa: ANN401
    names = NamesRun(tried=3, left_out=0, missing=missing)
    facts = examination(probe=probe_run(names=names), **fields)
    return findings_of(check, facts.model_copy(update={"imports": PLACES, "code": code}))


def typo(**fields: Any) -> MissingName:  # noqa: ANN401
    return MissingName(
        **{"module": "peft", "name": "get_peft_modle", "near": ("get_peft_model",), "error": ERROR, **fields}
    )


def test_a_misspelled_name_is_an_error_at_its_line_with_the_right_spelling() -> None:
    (finding,) = findings(typo())
    assert (finding.severity, finding.path, finding.line) == (Severity.ERROR, "train.py", 2)
    assert finding.message == "from peft import get_peft_modle fails: peft 0.13.0 has no such name"
    assert finding.evidence[-1] == "also at eval.py:7"
    assert finding.remedy == "Did you mean get_peft_model?"


def test_a_name_that_nothing_is_like_needs_another_release() -> None:
    (finding,) = findings(typo(near=()))
    assert finding.remedy == "Correct the name, or install the release of peft that has it."


def test_a_name_that_needs_a_package_gets_the_command_that_installs_it() -> None:
    error = Failure(type="ModuleNotFoundError", message="No module named 'einops'", missing=Missing(module="einops"))
    (finding,) = findings(typo(error=error))
    assert finding.message.endswith("peft 0.13.0 cannot provide it")
    assert finding.commands == ("/env/bin/python -m pip install einops",)


def test_what_the_linter_reported_is_not_repeated() -> None:
    (finding,) = findings(typo())
    reported = finding.model_copy(update={"id": "VC117"})
    assert findings(typo(), code=(reported,)) == []


def test_without_code_there_is_nothing_to_say() -> None:
    assert findings_of(check, examination(probe=probe_run())) == []
    assert findings_of(check, examination()) == []
    assert findings() == []
