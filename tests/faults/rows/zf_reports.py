"""AF. Reports on files whose names are markup, commands or no text: each format stays valid, and shows them as text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.faults.model import Command, Expected, Row
from tests.faults.scene import HALF_LOOP

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.model import Ran
    from tests.faults.scene import Scene

_NAMES: tuple[str | bytes, ...] = (
    "<img src=x onerror=alert(1)>.py",
    "]]><script>.py",
    'a"onload=x.py',
    "a'b&amp;.py",
    "a\n::error::x.py",
    "a\r.py",
    "%0A::stop-commands::x.py",
    "{{ x }}{% raw %}.py",
    "\ufffe\uffff\u2028.py",
    "\x01\x1b[2J.py",
    "\u202egnp.py",
    b"\xff\xfe.py",
    "..\\..\\x.py",
    "C:\\x.py",
    "a|b`c`.py",
    "```.py",
    "javascript:alert(1).py",
    "a:b,c=d.py",
    ".py#cell1.ipynb.py",
    "${x}$(touch owned).py",
    "x" * 240 + ".py",
    "-rf.py",
    " .py",
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


class _Page(HTMLParser):
    """Collects the elements that a hostile name could have added to a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.planted: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element with a handler, a source from elsewhere, or an address that is a program."""
        for name, value in attrs:
            if name.startswith("on") or (name in ("src", "href") and (value or "").startswith(("javascript", "x"))):
                self.planted.append(f"<{tag} {name}={value!r}>")


def _html(text: str) -> str:
    return " ".join(_Page(text).planted)


def _xml(text: str) -> str:
    return "" if len(ET.fromstring(text).findall(".//testcase")) > len(_NAMES) else "cases are missing"  # noqa: S314


def _sarif(text: str) -> str:
    uris = [
        place["physicalLocation"]["artifactLocation"]["uri"]
        for result in json.loads(text)["runs"][0]["results"]
        for place in result["locations"]
    ]
    wrong = [uri for uri in uris if not re.fullmatch(r"[A-Za-z0-9%._~/-]+", uri)]
    return f"these are no relative URIs: {wrong}" if wrong or not uris else ""


def _json(text: str) -> str:
    return "" if json.loads(text) else "it is empty"


def _github(text: str) -> str:
    wrong = [line for line in text.splitlines() if not re.match("::(error|warning|notice) ", line)]
    return f"these lines are no annotations: {wrong}" if wrong else ""


def _any(text: str) -> str:
    return "" if text else "it is empty"


_CHECKS: dict[str, Callable[[str], str]] = {
    "text": _any,
    "markdown": _any,
    "json": _json,
    "gitlab": _json,
    "sarif": _sarif,
    "junit": _xml,
    "github": _github,
    "html": _html,
}


def _format(name: str) -> Row:
    def plan(scene: Scene) -> Command:
        for each in _NAMES:
            scene.file(each, HALF_LOOP)
        return Command(("lint", "--format", name, "--output", "../report", "."))

    def verify(scene: Scene, _: Ran) -> str:
        text = (scene.root / "report").read_bytes().decode("utf-8")
        control = _CONTROL.search(text)
        return f"it holds the character {control.group()!r}" if control else _CHECKS[name](text)

    sentence = f"Training code in files with {len(_NAMES)} hostile names is reported as {name}."
    expected = Expected((1,), ("../report",), ("\x1b", "\u202e"), verify=verify)
    return Row("AF", f"report_as_{name}", sentence, plan, expected, in_suite=name == "html")


FORMATS = tuple(map(_format, _CHECKS))
