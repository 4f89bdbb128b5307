"""What a person meets on the site of a matrix: accessibility by axe, the keyboard alone, links, and narrow windows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.test_site import hostile_site
from vc2doctor.report import site as pages

SITE = os.environ.get("VC2DOCTOR_SITE")
"""The folder of an exported site; by default a small one is made."""
PAGES = (
    "#/",
    "#/torch/2.13.0",
    "#/packages/peft",
    "#/verdict/2.13.0/5.0.0/0.21.0",
    "#/verdict/2.13.0/4.9.0/0.21.0",
    "#/constraint/c%2F1",
    "#/issue/issue-1",
    "#/trl/1.0.0",
    "#/search/peft",
    "#/nowhere",
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    if SITE:
        return (Path(SITE) / "index.html").resolve().as_uri()
    root = tmp_path_factory.mktemp("site")
    (root / "data").mkdir()
    for name, text in pages.files(hostile_site()).items():
        (root / name).write_text(text, encoding="utf-8")
    return (root / "index.html").as_uri()


@pytest.fixture
def page(chromium: Any, address: str) -> Iterator[Any]:  # noqa: ANN401
    """A window of the site; at the end, it may not have complained, or asked for anything but files of the site."""
    complaints: list[str] = []
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("dialog", lambda dialog: complaints.append(dialog.message))
    start = address.rpartition("/")[0]
    opened.on(
        "request", lambda request: None if request.url.startswith((start, "data:,")) else complaints.append(request.url)
    )
    yield opened
    context.close()
    assert complaints == []


def goto(page: Any, address: str, hash_: str) -> None:  # noqa: ANN401
    page.goto("about:blank")
    page.goto(address + hash_)
    page.wait_for_selector("main h1")


@pytest.mark.parametrize("hash_", PAGES)
@pytest.mark.parametrize(("width", "scheme"), [(375, "dark"), (1280, "light")])
def test_page_is_accessible_and_no_wider_than_the_window(
    page: Any,  # noqa: ANN401
    address: str,
    hash_: str,
    width: int,
    scheme: str,
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    goto(page, address, hash_)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Without preload: axe would fetch the style sheet, which the site's policy forbids.
    violations = axe.Axe().run(page, options={"preload": False}).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in violations] == []


def test_keyboard_alone_leads_from_the_search_to_a_verdict(page: Any, address: str) -> None:  # noqa: ANN401
    goto(page, address, "#/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'main'")
    page.focus(".skip")
    while page.evaluate("document.activeElement.id") != "words":
        page.keyboard.press("Tab")
    page.keyboard.type("torch 2.13.0 transformers 5.0.0 peft 0.21.0")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=status]")
    assert page.input_value("#words") == "torch 2.13.0 transformers 5.0.0 peft 0.21.0"
    while "The verdict on" not in page.evaluate("document.activeElement.textContent"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#verdict")
    assert page.inner_text("#verdict") == "✓ verified"
    assert page.url.endswith("#/verdict/2.13.0/5.0.0/0.21.0")


def test_versions_are_chosen_and_the_way_back_works(page: Any, address: str) -> None:  # noqa: ANN401
    goto(page, address, "#/verdict/2.13.0/5.0.0/0.21.0")
    page.select_option("#choose-transformers", "4.9.0")
    page.click("text=Show the verdict")
    page.wait_for_selector(".verdict.i")
    page.go_back()
    page.wait_for_selector(".verdict.v")
    assert "torch 2.13.0, transformers 5.0.0, peft 0.21.0" in page.title()
