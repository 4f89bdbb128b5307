"""The site of a matrix: its content agrees with the judge, and a real browser shows it from the disk as text."""

from __future__ import annotations

import html
import json
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ran
from vc2doctor.commands import site as command
from vc2doctor.commands.site import LETTERS, Reason, Site, SiteCell, SiteIndex, SiteIssue, TorchVerdicts
from vc2doctor.matrix import load
from vc2doctor.matrix.compiled import Constraint
from vc2doctor.matrix.errors import MatrixError
from vc2doctor.matrix.judge import Combination, judge
from vc2doctor.report import site as pages

Doctor = Callable[..., Ran]
HOSTILE = "<img src=x onerror=document.title='owned'></script><script>document.title='owned'</script>&amp;\u2028"


def hostile_site() -> Site:
    """Return the content of a small matrix whose texts try to become HTML or code."""
    cell = SiteCell(
        name=f"cell {HOSTILE}",
        date="2026-11-28",
        device=HOSTILE,
        python="3.11",
        torch="2.13.0+cpu",
        transformers="5.0.0",
        peft="0.21.0",
        beside={"trl": "1.0.0", HOSTILE: "1"},
        trains=("bf16",),
        fails={"fp16-unscaled": HOSTILE},
        doors={"trainer": "passed"},
    )
    constraint = Constraint(id="c/1", kind="symbol", reason=HOSTILE, when={"trl": "<1"}, failed=(cell.name,))
    issue = SiteIssue(
        id="issue-1",
        title=HOSTILE,
        severity="error",
        when=({"peft": HOSTILE},),
        doors=(),
        explanation="Why.",
        sources=("javascript:document.title='owned'", "https://example.org/1"),
    )
    index = SiteIndex(
        recipe="bf16",
        measured="2026-11-28",
        released="2026-11-28",
        torches=("2.13.0",),
        transformers=("5.0.0", "4.9.0"),
        peft=("0.21.0", "0.20.0"),
        cells=(cell,),
        constraints=(constraint,),
        issues=(issue,),
    )
    reasons = (
        Reason(statements=(0,), constraints=(), issues=()),
        Reason(statements=(1, 0), constraints=("c/1",), issues=("issue-1",)),
    )
    table = TorchVerdicts(
        torch="2.13.0", statements=("Measured.", HOSTILE), reasons=reasons, verdicts=("vc", "iu"), why=((0, 0), (1, 1))
    )
    return Site(index=index, torches=(table,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("a site")
    (root / "data").mkdir()
    for name, text in pages.files(hostile_site()).items():
        (root / name).write_text(text, encoding="utf-8")
    return root


def shown(folder: Path, address: str) -> str:
    """Return the page at an address as Chromium renders it from the disk, without network."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--proxy-server=127.0.0.1:9",
        "--virtual-time-budget=8000",
    ]
    options += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr"]
    url = f"{(folder / 'index.html').as_uri()}{address}"
    ran = subprocess.run(
        [browser, *options, "--dump-dom", url], capture_output=True, text=True, check=True, timeout=240
    )
    messages = [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    assert messages == []
    assert "<title>owned" not in ran.stdout
    assert "<img" not in ran.stdout, "no element was made of a text"
    sources = re.findall(r"<script[^>]*>", ran.stdout)
    assert all(re.fullmatch(r'<script src="(site|data/[\w.-]+)\.js">', source) for source in sources)
    return html.unescape(re.sub(r"<[^>]*>", " ", ran.stdout.partition("<main")[2].partition("</main>")[0]))


PAGES = {
    "": ("Which versions train together", "torch 2.13.0", "1 measured cell"),
    "#/torch/2.13.0": ("transformers (rows) with peft (columns)", "✓1", "✗", "?"),
    "#/peft/0.21.0": ("transformers (rows) with torch (columns)",),
    "#/transformers/4.9.0": ("peft (rows) with torch (columns)",),
    "#/trl/1.0.0": ("1 measured cell with this release", "Constraints and known issues that name trl"),
    "#/verdict/2.13.0/5.0.0/0.21.0": ("verified", "Measured.", "Evidence", "measured 2026-11-28"),
    "#/verdict/2.13.0/4.9.0/0.21.0": ("incompatible", "Why", HOSTILE.strip("\u2028"), "c/1", "issue-1"),
    "#/constraint/c%2F1": ("Measured failures", "trl <1"),
    "#/issue/issue-1": ("javascript:document.title='owned'", "https://example.org/1"),
    "#/search/fp16": ("Search: fp16", "results"),
    "#/search/owned": ("3 results",),
    "#/cell/nowhere": ("Not found", "there is no cell nowhere"),
    "#/constructor": ("Not found", "there is no page constructor"),
    "#/%E0%A4": ("Not found",),
}


@pytest.mark.parametrize("address", PAGES)
def test_page_in_a_real_browser(folder: Path, address: str) -> None:
    text = shown(folder, address)
    for expected in PAGES[address]:
        assert expected in text


def test_scripts_of_the_data_hold_no_markup(folder: Path) -> None:
    for path in (folder / "data").iterdir():
        text = path.read_text(encoding="utf-8")
        assert text.isascii()
        assert not set(text) & set("<>&")


def data_of(text: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads(text.partition("(")[2].rpartition(")")[0])


def test_every_verdict_of_the_site_is_that_of_the_judge() -> None:
    content = command.site(("2.13.0",), "bf16", None)
    matrix = load.load(load.shipped())
    index, table = content.index, content.torches[0]
    assert (len(table.verdicts), len(table.verdicts[0])) == (len(index.transformers), len(index.peft))
    places = [(row, column) for row in range(len(index.transformers)) for column in range(len(index.peft))]
    for row, column in random.Random(0).sample(places, 60):  # noqa: S311 - a choice of test cases
        versions = {"torch": "2.13.0", "transformers": index.transformers[row], "peft": index.peft[column]}
        judgement = judge(Combination(python=None, versions=versions, installed=False), matrix, "bf16")
        reason = table.reasons[table.why[row][column]]
        assert table.verdicts[row][column] == LETTERS[judgement.verdict]
        assert "; ".join(table.statements[number] for number in reason.statements) == judgement.reason
        assert reason.constraints == judgement.constraints
    known = {constraint.id for constraint in index.constraints}
    assert {name for reason in table.reasons for name in reason.constraints} <= known
    written = pages.files(content)
    assert data_of(written["data/torch-2.13.0.js"])["verdicts"] == list(table.verdicts)
    assert len(written["data/torch-2.13.0.js"]) < 2_000_000


def test_torch_that_was_not_measured_is_wrong_usage(doctor: Doctor, tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match=r"torch 1\.0\.0 was not measured"):
        command.site(("1.0.0",), "bf16", None)
    ran = doctor("matrix", "export", "--site", str(tmp_path / "a"), "--output", "b")
    assert (ran.code, ran.out) == (2, "")
    assert not (tmp_path / "a").exists()
