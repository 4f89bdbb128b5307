"""What a person meets on the page: marks, colors, keys, print; and what a hostile text must not do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import SCREENSHOTS, Open
from tests.report.html.reports import HOSTILE, REPORTS
from vc2doctor.core.printing import printable
from vc2doctor.target.shared.recipes import CONTROL

PAGES = (*REPORTS, "notebook")
FOCUSABLE = "a[href], button:not([hidden]), summary, [tabindex='0']"
VISIBLE = "(element) => element.checkVisibility()"


def counts(page: Any, selector: str) -> int:  # noqa: ANN401
    return int(page.locator(selector).count())


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("width", "scheme"), [(375, "dark"), (1280, "light")])
def test_page_is_accessible_and_no_wider_than_the_window(open_page: Open, name: str, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = open_page(name, width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # What is folded is read as well.
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    violations = axe.Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in violations] == []
    if SCREENSHOTS:
        page.reload()
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}-{width}-{scheme}.png", full_page=True)


@pytest.mark.parametrize("name", REPORTS)
def test_every_mark_of_the_data_is_drawn_within_its_chart(open_page: Open, name: str) -> None:
    report = REPORTS[name]()
    outcomes = report.probe.recipes if report.probe else ()
    page = open_page(name)
    steps = [step for outcome in outcomes for step in outcome.steps]
    # A recipe without norms has a second chart if the control behind it has them.
    measured = {each.recipe for each in outcomes if any(step.gradient_norm is not None for step in each.steps)}
    with_norms = [step for outcome in outcomes if measured & {outcome.recipe, CONTROL} for step in outcome.steps]
    marks = ".card svg .mark"
    assert counts(page, marks) == len(steps) + len(with_norms)
    lost = sum(step.loss is None for step in steps) + sum(step.gradient_norm is None for step in with_norms)
    assert counts(page, ".card svg .lost") == lost
    outside = page.eval_on_selector_all(
        marks,
        """(marks) => marks.filter((mark) => {
            const box = mark.getBoundingClientRect(), chart = mark.ownerSVGElement.getBoundingClientRect();
            return box.width < 4 || box.left < chart.left || box.right > chart.right
                || box.top < chart.top - 1 || box.bottom > chart.bottom;
        }).length""",
    )
    assert outside == 0


def test_lengths_of_bars_follow_the_headroom(open_page: Open) -> None:
    report = REPORTS["measured"]()
    assert report.probe is not None
    assert report.probe.headroom is not None
    page = open_page("measured")
    widths = page.eval_on_selector_all(
        ".bars >> nth=0 >> .filled", "(bars) => bars.map((bar) => bar.getBoundingClientRect().width)"
    )
    track = page.eval_on_selector(".bars .track", "(bar) => bar.getBoundingClientRect().width")
    assert len(widths) == len(report.probe.headroom.layers)
    assert widths == sorted(widths)
    assert widths[-1] == pytest.approx(track), "it overflows"


def test_map_says_where_you_are_beside_the_table_that_is_scrolled(open_page: Open) -> None:
    page = open_page("fit", 375)
    assert counts(page, ".map tbody td") == 6
    assert page.locator("[aria-current=location]").inner_text().startswith("✓")


@pytest.mark.parametrize("name", PAGES)
def test_tab_key_reaches_every_button_link_and_fold_in_the_order_of_the_page(open_page: Open, name: str) -> None:
    page = open_page(name)
    expected = page.eval_on_selector_all(
        FOCUSABLE,
        f"(all) => all.filter({VISIBLE}).map((each, index) => {{ each.dataset.number = index; return index; }})",
    )
    reached = []
    for _ in range(len(expected) + 1):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.dataset.number ?? null"))
    assert [int(number) for number in reached if number is not None] == expected
    assert reached[-1] is None, "the page does not catch the focus"


def test_keys_alone_copy_a_command_and_unfold_the_evidence(open_page: Open) -> None:
    report = REPORTS["unfit"]()
    page = open_page("unfit", permissions=["clipboard-read", "clipboard-write"])
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".command button:focus", has_text="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == report.findings[0].commands[0]
    assert page.locator("[role=status]").inner_text().startswith("Copied: ")
    page.locator(".command button:focus", has_text="Copy").wait_for()
    fold = page.locator(".finding.warn details").first
    fold.locator("summary").focus()
    assert not fold.locator(".evidence").is_visible()
    page.keyboard.press("Enter")
    assert fold.locator(".evidence").is_visible()


def test_without_the_right_to_the_clipboard_the_command_is_selected(open_page: Open) -> None:
    page = open_page("unfit")
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    page.locator(".command button").first.click()
    page.locator(".command button", has_text="Selected").wait_for()
    assert page.evaluate("getSelection().toString()") == page.locator(".command code").first.inner_text()


def test_without_scripts_all_is_shown_but_the_buttons(open_page: Open) -> None:
    page = open_page("unfit", java_script_enabled=False)
    assert page.locator("h1").inner_text() == "✗ Not fit to train"
    assert not page.locator(".command button").first.is_visible()
    assert page.locator(".command code").first.is_visible()


@pytest.mark.parametrize("width", [375, 1280])
def test_hostile_texts_are_shown_and_do_nothing(open_page: Open, width: int) -> None:
    page = open_page("hostile", width)
    assert page.evaluate("window.hacked === undefined")
    assert counts(page, "img") == 0
    assert page.locator(".finding bdi").first.text_content() == printable(HOSTILE)
    page.locator(".command button").first.click()
    assert page.evaluate("window.hacked === undefined")


@pytest.mark.parametrize("name", PAGES)
def test_print_has_no_buttons_all_evidence_and_a_white_page(open_page: Open, name: str) -> None:
    page = open_page(name, 794, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.eval_on_selector_all("button", f"(all) => all.filter({VISIBLE}).length") == 0
    assert page.eval_on_selector_all(".evidence", f"(all) => all.filter((each) => !({VISIBLE})(each)).length") == 0
    background = "getComputedStyle(document.querySelector('.vc2doctor')).backgroundColor"
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    if SCREENSHOTS:
        page.pdf(path=Path(SCREENSHOTS) / f"{name}.pdf", format="A4")


def test_colors_follow_the_scheme_of_the_reader(open_page: Open) -> None:
    background = "getComputedStyle(document.querySelector('.vc2doctor')).backgroundColor"
    light, dark = (open_page("fit", color_scheme=scheme).evaluate(background) for scheme in ("light", "dark"))
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(13, 17, 23)")
