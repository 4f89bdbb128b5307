"""The HTML page, read by the parser of the standard library: what it shows, and what it never holds."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

import noxfile
from tests.facts import examination, failed, failure, probe_run
from tests.report.html.reports import HOSTILE, REPORTS, hostile, lost, measured, stack_map, unfit
from tests.report.test_machine_formats import linted
from vc2doctor.commands.examine import report_on
from vc2doctor.commands.report import Report
from vc2doctor.commands.versions import Tables
from vc2doctor.core.printing import printable
from vc2doctor.report import formats
from vc2doctor.report.html import page
from vc2doctor.target.shared.recipes import DEFAULT_RECIPES

VOID = {"meta", "link", "br", "wbr"}


class Element:
    """An element with its parent, its children and the text within it."""

    def __init__(self, tag: str, attributes: dict[str, str | None], parent: Element | None) -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children: list[Element] = []
        self.texts: list[str] = []

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def classes(self) -> set[str]:
        return set((self.attributes.get("class") or "").split())

    def walk(self) -> Iterator[Element]:
        yield self
        for child in self.children:
            yield from child.walk()

    def all(self, tag: str, *classes: str) -> list[Element]:
        return [each for each in self.walk() if each.tag == tag and each.classes.issuperset(classes)]


class Reader(HTMLParser):
    """Builds the tree, and refuses an element that is closed in another order than it was opened."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self._open = Element("", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice"
        element = Element(tag, dict(attrs), self._open)
        self._open.children.append(element)
        if tag not in VOID:
            self._open = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.tag == tag, f"</{tag}> closes <{self._open.tag}>"
        assert self._open.parent is not None
        self._open = self._open.parent

    def handle_data(self, data: str) -> None:
        element: Element | None = self._open
        if self._open.tag in ("script", "style"):
            self._open.texts.append(data)
            return
        while element is not None:
            element.texts.append(data)
            element = element.parent


def parsed(text: str) -> Element:
    reader = Reader()
    reader.feed(text)
    reader.close()
    return reader.root


@lru_cache
def shown(name: str) -> tuple[Report, str, Element]:
    report = REPORTS[name]()
    text = formats.render("check", report, "html")
    return report, text, parsed(text)


every_report = pytest.mark.parametrize("name", REPORTS)


@every_report
def test_page_needs_no_network_and_runs_no_script_but_its_own(name: str) -> None:
    _, text, root = shown(name)
    assert text.startswith("<!doctype html>")
    (script,) = root.all("script")
    policy = next(each.attributes["content"] for each in root.all("meta") if "http-equiv" in each.attributes) or ""
    digest = base64.b64encode(hashlib.sha256("".join(script.texts).encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy
    for element in root.walk():
        assert not {"src", "srcset", "action", "formaction", "xlink:href"} & element.attributes.keys()
        assert not [attribute for attribute in element.attributes if attribute.startswith("on")]
        target = element.attributes.get("href")
        if target is not None:
            assert element.tag == "a" or target == "data:,"
            assert target.startswith(("https://", "http://", "data:,"))
    (style,) = root.all("style")
    assert not re.search(r"@import|url\(", "".join(style.texts))


@every_report
def test_page_begins_with_verdict_and_what_to_do(name: str) -> None:
    report, _, root = shown(name)
    (heading,) = root.all("h1")
    assert heading.text
    sections = [each.text for each in root.all("h2")]
    assert sections[:3] == ["What to do", "Findings", "Packages and the matrix"]
    assert f"vc2doctor {report.plan.invocation.verb}" in root.text
    assert len([each for each in root.walk() if "id" in each.attributes]) == 0, "two parts in a notebook may be equal"


@every_report
def test_every_finding_is_shown_with_evidence_remedy_and_commands_to_copy(name: str) -> None:
    report, _, root = shown(name)
    articles = root.all("article", "finding")
    assert len(articles) == len(report.findings)
    for finding, article in zip(report.findings, articles, strict=True):
        for text in (finding.message, finding.remedy, *finding.evidence):
            assert " ".join(printable(text).split()) in article.text
        commands = [each.text for each in article.all("code") if each.parent and each.parent.tag == "pre"]
        assert commands == [" ".join(printable(command).split()) for command in finding.commands]
        assert len(article.all("button")) == len(commands)


def test_fix_that_is_that_of_an_earlier_finding_is_folded() -> None:
    report, _, root = shown("unfit")
    first, second, *_ = report.findings
    assert (first.remedy, first.commands) == (second.remedy, second.commands)
    folded = [[fold for fold in each.all("details") if "Fix:" in fold.text] for each in root.all("article", "finding")]
    assert [len(each) for each in folded] == [0, 1, 0]
    assert not any("open" in each.attributes for each in folded[1])


@every_report
def test_marks_of_every_curve_are_those_of_the_data_and_a_table_has_the_same_numbers(name: str) -> None:
    report, _, root = shown(name)
    cards = root.all("article", "card")
    recipes = {outcome.recipe: outcome for outcome in (report.probe.recipes if report.probe else ())}
    assert len(cards) == len(recipes) or name == "unfit"
    for card in cards:
        (title,) = card.all("h3")
        outcome = recipes[title.text.split()[1]]
        charts = card.all("svg")
        has_norms = any(each.gradient_norm is not None for each in outcome.steps)
        assert len(charts) >= int(bool(outcome.steps)) + int(has_norms)
        for chart, values in zip(charts, ("loss", "gradient_norm"), strict=False):
            steps = [(getattr(each, values), each.taken) for each in outcome.steps]
            finite = [taken for value, taken in steps if value is not None]
            assert len(chart.all("path", "mark", "lost")) == len(steps) - len(finite)
            assert len(chart.all("circle", "mark", "taken")) == sum(finite)
            assert len(chart.all("circle", "mark", "skipped")) == len(finite) - sum(finite)
            assert chart.attributes["role"] == "img"
            assert f"{len(steps)} steps" in (chart.attributes["aria-label"] or "")
        rows = [row for table in card.all("table") for row in table.all("tr")][1:]
        assert len(rows) == len(outcome.steps)
        for row, each in zip(rows, outcome.steps, strict=True):
            assert row.text.startswith(f"{each.step} {each.batch} ")
            assert ("NaN or infinite" in row.text) == (each.loss is None or each.gradient_norm is None)


def test_loss_that_is_lost_has_marks_and_no_line() -> None:
    _, _, root = shown("lost")
    card = next(each for each in root.all("article", "card") if "fp16-amp" in each.all("h3")[0].text)
    loss = card.all("svg")[0]
    assert len(loss.all("path", "lost")) == 3
    assert not loss.all("polyline", "line")
    assert len(loss.all("polyline", "control")) == 2, "one line for each batch of the control"
    assert loss.attributes["aria-label"] == "Loss: 3 steps; NaN or infinite at step 0, 1, 2"
    assert "decides" in card.all("h3")[0].text
    assert lost().verdict == "unfit"


def test_recipes_that_all_fail_in_the_same_way_are_one_card() -> None:
    runs = [failed(name, failure("no")) for name in DEFAULT_RECIPES]
    (card,) = parsed(page.check(report_on(examination(probe=probe_run(*runs)), 1.0))).all("article", "card")
    assert card.text.startswith(f"✗ all {len(DEFAULT_RECIPES)} recipes error RuntimeError: no")


def test_bars_are_those_of_every_layer_forward_and_backward() -> None:
    report, _, root = shown("measured")
    assert report.probe is not None
    assert report.probe.headroom is not None
    assert report.probe.gradients is not None
    forward, backward = root.all("table", "bars")
    for table, layers in ((forward, report.probe.headroom.layers), (backward, report.probe.gradients.layers)):
        rows = table.all("tr")[1:]
        assert [row.all("th")[0].text for row in rows] == list(layers)
        widths = [float(row.all("rect", "filled")[0].attributes["width"] or -1) for row in rows]
        assert all(0 <= width <= 100 for width in widths)
        order = sorted(range(len(rows)), key=list(layers.values()).__getitem__)
        assert [widths[index] for index in order] == sorted(widths)
    assert "overflows" in forward.all("tr")[-1].text
    assert "overflows" in backward.all("tr")[1].text


def test_range_of_the_miniature_is_not_shown() -> None:
    report = measured()
    plan = report.plan.model_copy(update={"checkpoint": None})
    text = page.check(report.model_copy(update={"plan": plan}))
    assert "Forward pass" not in text


def test_map_has_a_cell_for_each_pair_and_one_says_that_you_are_here() -> None:
    report, _, root = shown("fit")
    assert report.stack_map is not None
    (table,) = root.all("table", "map")
    rows = table.all("tr")[1:]
    drawn = report.stack_map.table
    assert [len(row.all("td")) for row in rows] == [len(row.entries) for row in drawn.rows]
    for row, entries in zip(rows, drawn.rows, strict=True):
        for cell, entry in zip(row.all("td"), entries.entries, strict=True):
            assert entry.kind in cell.text
            assert not entry.measured or str(entry.measured) in cell.text
    (here,) = [cell for cell in table.all("td") if "aria-current" in cell.attributes]
    assert here is rows[0].all("td")[1]
    assert "you are here" in here.text
    assert "You are here: transformers 4.40.1 with peft 0.13.0." in root.text


def test_release_that_the_map_does_not_know_is_nowhere_on_it() -> None:
    report = REPORTS["fit"]().model_copy(update={"stack_map": stack_map().model_copy(update={"column": None})})
    root = parsed(page.check(report))
    assert not [each for each in root.walk() if "aria-current" in each.attributes]
    assert "The map does not know transformers 4.40.1 with peft 0.13.0" in root.text


def test_packages_show_their_conflict_and_the_change() -> None:
    _, _, root = shown("unfit")
    table = next(each for each in root.all("table") if "in the matrix" in each.text)
    rows = {row.all("th")[0].text: row.text for row in table.all("tr")[1:]}
    assert list(rows)[:3] == ["torch", "transformers", "peft"]
    assert rows["peft"] == "peft 0.17.0 ✗ see VC005 0.13.2"
    assert rows["numpy"] == "numpy 2.4.6 ✓ no known conflict"


def test_doors_are_shown_as_tried_or_not() -> None:
    _, _, root = shown("fit")
    section = next(each for each in root.all("section") if each.all("h2")[0].text.startswith("What was tried"))
    trainer, dpo = section.all("tr")[1:]
    assert "✓ passed" in trainer.text
    assert "imported only" in dpo.text
    assert "Not tried: trl's DPOTrainer" in section.text


def test_hostile_texts_stay_text() -> None:
    report, text, root = shown("hostile")
    assert not {"img", "b"} & {each.tag for each in root.walk()}
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text)
    text_of_it = " ".join(printable(HOSTILE).split())
    assert root.text.count(text_of_it) > len(report.findings)
    assert "{{ 7 * 7 }}" in root.text
    assert "javascript:" not in "".join(each.attributes.get("href") or "" for each in root.walk())


def test_part_for_a_notebook_is_one_element_without_a_page() -> None:
    root = parsed(page.check(hostile(), is_part=True))
    (part,) = root.children
    assert (part.tag, part.classes) == ("div", {"vc2doctor"})
    assert not {"html", "head", "body", "main", "meta", "link"} & {each.tag for each in root.walk()}


def test_styles_of_a_part_touch_nothing_outside_of_it() -> None:
    style = Path(page.__file__).with_name("templates") / "style.css"
    outside = re.sub(r"/\*.*?\*/", "", style.read_text(encoding="utf-8"), flags=re.DOTALL)
    # Everything is nested within one rule.
    while nested := re.search(r"\{[^{}]*\}", outside):
        outside = outside.replace(nested[0], "")
    assert outside.split() == [".vc2doctor"]


def test_findings_of_the_linter_have_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = linted(tmp_path)
    root = parsed(formats.render("lint", report, "html"))
    articles = root.all("article", "finding")
    assert len(articles) >= len(report.findings)
    assert all(any("train" in each.text for each in article.all("code")) for article in articles)


def test_tables_of_the_matrix_have_a_page() -> None:
    table = stack_map().table
    root = parsed(formats.render("tables", Tables(tables=(table, table)), "html"))
    assert len(root.all("table", "map")) == 2
    assert not [each for each in root.walk() if "aria-current" in each.attributes]


def test_many_findings_are_counted() -> None:
    report = unfit()
    many = report.model_copy(update={"findings": report.findings * (page.MAX_RESULTS // len(report.findings) + 1)})
    root = parsed(page.check(many))
    assert len(root.all("article", "finding")) == page.MAX_RESULTS
    assert f"And {len(many.findings) - page.MAX_RESULTS} more findings" in root.text


def test_extra_of_the_project_is_what_the_format_needs() -> None:
    extras = noxfile._PROJECT["project"]["optional-dependencies"]
    for form in formats.known().values():
        if form.requirements:
            assert extras[form.name] == list(form.requirements)
