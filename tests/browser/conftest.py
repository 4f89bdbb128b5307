"""A page in a real Chromium. The tests are skipped where Playwright or Chromium is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.html.reports import REPORTS
from vc2doctor.report import formats
from vc2doctor.report.html import page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SCREENSHOTS = os.environ.get("VC2DOCTOR_SCREENSHOTS")
Open = Callable[..., Any]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    reason = "it is in the dependency group `browser`; run nox -s browser"
    playwright = pytest.importorskip("playwright.sync_api", reason=f"Playwright is not installed: {reason}")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        # Containers often run as root, for whom Chromium has no sandbox; the pages are made here.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The address of the page of each report, and of a notebook's output with two of them."""
    addresses = {}
    for name, make in REPORTS.items():
        path = tmp_path / f"{name}.html"
        path.write_text(formats.render("check", make(), "html"), encoding="utf-8")
        addresses[name] = path.as_uri()
    parts = "".join(page.check(REPORTS[name](), is_part=True) for name in ("fit", "lost"))
    notebook = tmp_path / "notebook.html"
    start = '<!doctype html><html lang="en"><meta charset="utf-8"><title>a notebook</title>'
    notebook.write_text(f"{start}<main>{parts}</main>", encoding="utf-8")
    return {**addresses, "notebook": notebook.as_uri()}


@pytest.fixture
def open_page(chromium: Any, files: dict[str, str]) -> Iterator[Open]:  # noqa: ANN401
    """Return a function that opens the page of a report; at the end, no page may have complained or asked for more."""
    complaints: list[str] = []
    contexts = []

    def open_(name: str, width: int = 1280, **options: Any) -> Any:  # noqa: ANN401
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        opened = context.new_page()
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("dialog", lambda dialog: complaints.append(dialog.message))
        opened.on("request", lambda request: complaints.append(request.url) if request.url != files[name] else None)
        opened.goto(files[name])
        return opened

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
