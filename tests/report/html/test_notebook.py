"""A report in a notebook that is really executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import Venv
from tests.report.html.reports import unfit
from tests.report.html.test_page import parsed
from vc2doctor import api

CELL = """
from vc2doctor import api
report = api.check(python={python!r}, probe=False, accept="inferred", stack_map=True)
api.show(report)
"""


# ipykernel and its dependencies are not free of warnings on every Python.
@pytest.mark.filterwarnings("default")
def test_cell_shows_the_page_as_html_and_the_verdict_as_text(venv: Venv, tmp_path: Path) -> None:
    venv.add_stack()
    makers: Any = nbformat.v4  # it has no types
    notebook = makers.new_notebook(cells=[makers.new_code_cell(CELL.format(python=venv.python))])
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    (output,) = [each for each in notebook.cells[0].outputs if each.output_type == "execute_result"]
    data: dict[str, Any] = output.data
    assert data["text/plain"].startswith("Fit to train under bf16 by versions alone")
    (part,) = parsed(data["text/html"]).children
    assert part.classes == {"vc2doctor"}
    (table,) = part.all("table", "map")
    (here,) = [each for each in table.walk() if "aria-current" in each.attributes]
    assert "trains" in here.text, "the versions of the fixture were measured to train"


def test_view_of_a_report_says_its_verdict_in_a_console() -> None:
    assert repr(api.show(unfit())).startswith("Not fit to train under bf16. 2 errors")


def test_findings_of_the_linter_can_be_shown(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import torch\nscaler = torch.cuda.amp.GradScaler()\n", encoding="utf-8")
    report = api.check_code(tmp_path)
    part = parsed(api.show(report)._repr_html_())
    assert len(part.all("article", "finding")) == len(report.findings)
