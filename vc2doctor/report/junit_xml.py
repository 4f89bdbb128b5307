"""Findings as test cases in JUnit's XML, which most CI systems show: the verdict is a case, and so is each finding.

There is no official schema. The elements and attributes are those that Jenkins' xUnit plugin and GitLab read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from vc2doctor.core.printing import without_surrogates
from vc2doctor.report.results import Result, Results, of_check, of_lint

if TYPE_CHECKING:
    from vc2doctor.commands.report import Report
    from vc2doctor.linter.model import LintReport

_UNFINISHED = 3
"""The exit code of a run that could not be finished, or that proved nothing: an error of the test, no failure."""


def check(report: Report) -> str:
    """Return an examination as test cases."""
    return _document(of_check(report))


def lint(report: LintReport) -> str:
    """Return the findings of the linter as test cases."""
    return _document(of_lint(report))


def _document(results: Results) -> str:
    cases = [_verdict(results), *(_case(result, results) for result in results.results)]
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
    }
    time = f"{results.seconds:.3f}"
    suites = ET.Element("testsuites", {"name": "vc2doctor", **counts, "time": time})
    suite = ET.SubElement(suites, "testsuite", {"name": f"vc2doctor {results.verb}", **counts, "time": time})
    suite.extend(cases)
    ET.indent(suites)
    # ElementTree escapes markup. What XML 1.0 cannot hold at all was replaced where the texts were made printable.
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _verdict(results: Results) -> ET.Element:
    case = _test_case(results.verb, "verdict", f"{results.seconds:.3f}")
    if results.exit_code:
        kind = "error" if results.exit_code == _UNFINISHED else "failure"
        _problem(case, kind, results.verdict, results.sentence, results.sentence)
    else:
        _output(case, results.sentence)
    return case


def _case(result: Result, results: Results) -> ET.Element:
    place = f" at {result.place.text}" if result.place is not None else ""
    case = _test_case(f"{results.verb}.{result.id}", f"{result.message}{place}".replace("\n", " "), "0")
    if results.fails(result):
        _problem(case, "failure", result.severity.value, result.message, _details(result))
    else:
        _output(case, f"{result.severity.value}: {_details(result)}")
    return case


def _details(result: Result) -> str:
    place = (result.place.text,) if result.place is not None else ()
    others = tuple(place.text for place in result.also)
    commands = "\nor\n".join(result.commands)
    lines = (result.message, *place, *others, *result.evidence, result.remedy, commands, result.url)
    return "\n".join(line for line in lines if line)


def _test_case(group: str, name: str, time: str) -> ET.Element:
    return ET.Element("testcase", {"classname": f"vc2doctor.{group}", "name": without_surrogates(name), "time": time})


def _problem(case: ET.Element, kind: str, type_: str, message: str, details: str) -> None:
    ET.SubElement(case, kind, {"type": type_, "message": message.replace("\n", " ")}).text = details


def _output(case: ET.Element, text: str) -> None:
    ET.SubElement(case, "system-out").text = text
