"""Render a report as one HTML page, or as a part of one."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vc2doctor.checks.answer import answer
from vc2doctor.commands.report import Report
from vc2doctor.commands.versions import Tables
from vc2doctor.core.data import with_texts
from vc2doctor.core.failure import Failure
from vc2doctor.core.printing import printable
from vc2doctor.linter.model import LintReport
from vc2doctor.probe.gradient_range import DEFAULT_SCALE
from vc2doctor.report.html import curves
from vc2doctor.report.html.facts import facts
from vc2doctor.report.html.packages import package_rows
from vc2doctor.report.html.recipes import recipe_views
from vc2doctor.report.html.tones import SIGNS, TONE_OF_SEVERITY, Tone
from vc2doctor.report.ranges import bars
from vc2doctor.report.results import Result, of_check, of_lint
from vc2doctor.report.terminal import kept, waived
from vc2doctor.report.terminal.probe import gradients_in_words, headroom_in_words
from vc2doctor.report.terminal.verdict import in_words

MAX_RESULTS = 500
"""Findings that are shown; the others are counted. Browsers show so many without a wait."""
_HEADINGS = {
    "fit": "Fit to train",
    "unfit": "Not fit to train",
    "measured": "Measured",
    "unproven": "Not proven to train",
    "incomplete": "The examination could not be finished",
}
_TONE_OF_KIND: dict[Any, Tone] = {"trains": "good", "fails": "bad", "unknown": "warn"}


def check(report: Report, *, is_part: bool = False) -> str:
    """Return an examination as a page, or with ``is_part`` as an element to put into a page.

    The texts of the target are made printable and escaped, so none of them is markup.
    """
    shown = with_texts(report, printable)
    decision = answer(report.verdict, report.findings, report.exit_code, report.plan)
    deciding = report.findings.index(decision.finding) if decision.finding in report.findings else None
    _, tone = in_words(report)
    results = of_check(report)
    return _page(
        "check.html",
        is_part=is_part,
        title=f"vc2doctor {results.verb}: {report.verdict}",
        heading=_HEADINGS[report.verdict],
        tone="bad" if tone == "good" and report.exit_code else tone,
        sentence=results.sentence,
        kept=kept.in_words(shown),
        report=shown,
        decision=with_texts(decision, printable),
        deciding=deciding,
        results=results.results,
        repeated=_repeated(results.results),
        waived=tuple(waived.entries(shown.waived)),
        packages=package_rows(shown),
        facts=tuple(facts(shown)),
        **_probe(shown),
    )


def _repeated(results: Sequence[Result]) -> frozenset[int]:
    """Return the indexes of results whose fix is that of an earlier one: one change can resolve several findings."""
    first: dict[tuple[str, tuple[str, ...]], int] = {}
    for index, result in enumerate(results):
        first.setdefault((result.remedy, result.commands), index)
    return frozenset(
        index
        for index, result in enumerate(results)
        if result.commands and first[result.remedy, result.commands] < index
    )


def _probe(report: Report) -> dict[str, Any]:
    """Return what the template shows of the probe; the miniature has random weights, so its range is left out."""
    probe = report.probe
    if probe is None:
        return {}
    headroom = probe.headroom if report.plan.custom_subject else None
    recipes = recipe_views(probe.recipes, report.plan)
    return {
        "recipes": recipes,
        "has_curves": any(view.curves for view in recipes),
        "failures": tuple(_failures(report)),
        "forward": bars(headroom.layers) if headroom else (),
        "forward_text": headroom_in_words(headroom) if headroom else "",
        "backward": bars(probe.gradients.layers, DEFAULT_SCALE) if probe.gradients else (),
        "backward_text": gradients_in_words(probe.gradients) if probe.gradients else "",
    }


def _failures(report: Report) -> Iterator[tuple[str, Failure]]:
    probe = report.probe
    if probe is None:
        return
    if probe.import_failure is not None:
        yield f"import {probe.import_package}", probe.import_failure
    if probe.load_failure is not None:
        yield "loading your model", probe.load_failure
    if probe.adapter is not None and probe.adapter.error is not None:
        yield "saving and reloading the adapter", probe.adapter.error


def lint(report: LintReport, *, is_part: bool = False) -> str:
    """Return the findings of the linter as a page, or with ``is_part`` as an element to put into a page."""
    results = of_lint(report)
    tones = [TONE_OF_SEVERITY[each.severity] for each in results.results]
    tone = "bad" if results.exit_code else "warn" if "warn" in tones else "good"
    return _page(
        "lint.html",
        is_part=is_part,
        title=f"vc2doctor lint: {results.verdict}",
        heading=results.verdict.capitalize(),
        tone=tone,
        verb=results.verb,
        sentence=results.sentence,
        results=results.results,
        repeated=_repeated(results.results),
        waived=tuple(waived.entries(with_texts(report, printable).waived)),
    )


def tables(report: Tables) -> str:
    """Return the tables of the matrix as a page."""
    return _page("tables.html", is_part=False, title="vc2doctor: what trains together", tables=report.tables)


def _page(body: str, *, is_part: bool, **context: Any) -> str:  # noqa: ANN401 - what the template of the body needs
    environment = _environment()
    script = _source(environment, "page.js")
    template = environment.get_template("part.html" if is_part else "page.html")
    return template.render(body=body, is_part=is_part, script=Markup(script), policy=_policy(script), **context)  # noqa: S704 - our own file


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("vc2doctor.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        signs=SIGNS, tones=TONE_OF_SEVERITY, kinds=_TONE_OF_KIND, area=curves, max_results=MAX_RESULTS
    )
    return environment


def _source(environment: Environment, name: str) -> str:
    loader = environment.loader
    assert loader is not None  # noqa: S101 - it was made with one
    return loader.get_source(environment, name)[0]


def _policy(script: str) -> str:
    """Return the content security policy: the page loads nothing, and runs no script but its own."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}';"
        " base-uri 'none'; form-action 'none'"
    )
