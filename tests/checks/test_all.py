"""What every check has in common."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

from tests.facts import MISSING_SYMBOL, examination, failed, failure, gpu, probe_run
from vc2doctor import checks
from vc2doctor.checks.context import Examination
from vc2doctor.environment.model import Nvidia, Shadow
from vc2doctor.findings import Severity

CASES = {
    "good": examination(probe=probe_run()),
    "nothing installed": examination({}),
    "not probed": examination(planned={"probe": False}),
    "broken": examination(
        {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.17.0", "numpy": "2.0.0"},
        probe=probe_run(recipes=(), adapter=None, import_package="peft", import_failure=MISSING_SYMBOL),
    ),
    "turing": examination(
        probe=probe_run(failed("fp32", failure())),
        nvidia=Nvidia(driver="580.95.05", gpus=(gpu("Tesla T4", (7, 5)),)),
        shadows=(Shadow(module="torch", path="/project/torch.py"),),
    ),
}


def test_every_page_has_a_title_and_says_why_and_what_to_do() -> None:
    for module in checks.modules():
        page = module.__doc__ or ""
        assert "\n\n" in page.strip(), f"{module.__name__} has no paragraph below its title"
        assert page.strip().splitlines()[0].endswith(".")
        assert "\nWhy it matters: " in page, module.__name__
        assert "\nWhat to do: " in page, module.__name__


def test_every_check_reports_under_its_own_number_only() -> None:
    numbers = [re.search(r"vc(\d{3})", module.__name__) for module in checks.modules()]
    assert len(numbers) == len({match[1] for match in numbers if match}) >= 16
    for module in checks.modules():
        number = module.__name__.rsplit(".", 1)[1][2:5]
        reported_ids = {
            keyword.value.value
            for node in ast.walk(ast.parse(inspect.getsource(module)))
            if isinstance(node, ast.Call)
            for keyword in node.keywords
            if keyword.arg == "id" and isinstance(keyword.value, ast.Constant)
        }
        assert reported_ids == {f"VC{number}"}, module.__name__


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_findings_are_complete_and_in_order(case: Examination) -> None:
    findings = checks.run(case)
    ranks = [finding.severity.rank for finding in findings]
    assert ranks == sorted(ranks, reverse=True)
    for finding in findings:
        assert finding.message
        assert all(finding.evidence), finding.id
        assert len(finding.evidence) >= 1, finding.id
        assert finding.remedy.endswith("."), finding.id
        assert finding.url.startswith("https://"), finding.id
        assert finding.commands or finding.id in {"VC002", "VC012", "VC013", "VC015"}, finding.id


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_checks_give_the_same_findings_twice(case: Examination) -> None:
    assert checks.run(case) == checks.run(case)


def test_good_environment_without_gpu_has_one_warning() -> None:
    findings = checks.run(CASES["good"])
    reported = [(finding.id, finding.severity) for finding in findings if finding.severity is not Severity.NOTE]
    assert reported == [("VC009", Severity.WARNING)]
