"""What a report says about a kept answer, about waived findings, and about recipes that were not run."""

from __future__ import annotations

from datetime import date

import pytest

from tests.facts import examination, probe_run
from vc2doctor.commands.examine import report_on
from vc2doctor.commands.report import Kept, Report
from vc2doctor.findings import Severity, WaivedFinding
from vc2doctor.report import formats, terminal
from vc2doctor.report.terminal import kept
from vc2doctor.report.terminal.waived import MAX_SHOWN

REPORT = report_on(examination(probe=probe_run()), 1.0)


def with_age(seconds: float) -> Report:
    return REPORT.model_copy(update={"kept": Kept(examined="2026-11-28T14:02:07+00:00", age_seconds=seconds)})


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 seconds ago"), (59, "59 seconds ago"), (60, "1 minute ago"), (3599, "60 minutes ago"), (7200, "2 hours")],
)
def test_age_is_told_in_the_unit_that_fits(seconds: float, words: str) -> None:
    assert kept.in_words(with_age(seconds)).startswith(f"examined {words}")


def test_kept_answer_says_so_below_the_verdict_with_its_time() -> None:
    lines = terminal.plain_text("check", with_age(90)).splitlines()
    assert lines[1].startswith("  From cache    examined 2 minutes ago (2026-11-28 14:02:07 UTC), and nothing")
    assert lines[1].endswith("--fresh examines again.")
    assert "From the cache: examined at" in formats.render("check", with_age(90), "markdown")
    assert "From the cache: examined 2 minutes ago (2026-11-28 14:02:07 UTC)" in formats.render(
        "check", with_age(90), "html"
    )
    assert "From cache" not in terminal.plain_text("check", REPORT)


def waived(number: int, **fields: object) -> WaivedFinding:
    values = {"id": f"VC00{number}", "message": "x", "severity": Severity.ERROR, "became": "off", "reason": "ticket"}
    return WaivedFinding.model_validate({**values, **fields})


def test_each_waived_finding_has_a_line_with_reason_and_end() -> None:
    lowered = waived(1, became="note", expires=date(2027, 1, 31), place="a.py:3")
    known = (waived(2, became="baseline"), waived(3, became="baseline"))
    text = terminal.plain_text("check", REPORT.model_copy(update={"waived": (lowered, waived(4), *known)}))
    assert "  Waived        VC001 at a.py:3, error made note until 2027-01-31: ticket\n" in text
    assert "  Waived        VC004, silenced: ticket\n" in text
    assert "  Baseline      2 findings are hidden by the baseline: VC002, VC003\n" in text


def test_markdown_and_html_name_what_is_waived_and_its_reason_stays_text() -> None:
    lowered = waived(1, became="note", place="a.py:3", reason="<b>see</b> [x](javascript:x)\x1b[31m")
    report = REPORT.model_copy(update={"waived": (lowered, waived(2, became="baseline"))})
    markdown = formats.render("check", report, "markdown")
    assert "* Waived: VC001 at a.py:3, error made note: &lt;b&gt;see&lt;/b&gt; \\[x\\](javascript:x)" in markdown
    assert "* Baseline: 1 finding is hidden by the baseline: VC002\n" in markdown
    html = formats.render("check", report, "html")
    assert "<strong>Waived:</strong> <bdi>VC001 at a.py:3, error made note: &lt;b&gt;see&lt;/b&gt;" in html
    assert "<strong>Baseline:</strong> <bdi>1 finding is hidden by the baseline: VC002</bdi>" in html
    assert "\x1b" not in markdown + html


def test_hidden_findings_are_named_with_their_file_and_many_are_counted() -> None:
    many = tuple(
        waived(number, became="baseline", baseline="b.json", place=f"loop.py:{number}") for number in range(1, 6)
    )
    text = terminal.plain_text("check", REPORT.model_copy(update={"waived": many}))
    assert "hidden by b.json: VC001 loop.py:1, VC002 loop.py:2, VC003 loop.py:3 and 2 more\n" in text


def test_many_waived_findings_are_counted() -> None:
    many = tuple(waived(number) for number in range(MAX_SHOWN + 3))
    text = terminal.plain_text("check", REPORT.model_copy(update={"waived": many}))
    assert text.count("  Waived  ") == MAX_SHOWN + 1
    assert "3 more findings; the JSON report has all" in text


def test_recipes_that_were_not_run_are_named() -> None:
    examined = examination(
        probe=probe_run(), planned={"recipes_left_out": ("fp16-amp",), "code_recipes": {"a": "bf16"}}
    )
    report = report_on(examined, 1.0)
    assert "not run: fp16-amp, because the code was not seen to train in them" in terminal.plain_text("check", report)
    assert "Not run: `fp16-amp`." in formats.render("check", report, "markdown")
