"""The labels of repositories that the linter had not seen are whole, and the figures of unseen.md can be made again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.linter import unseen
from vc2doctor.linter import rules

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("unseen_*.jsonl"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_label_is_of_a_kind_within_remit(path: Path) -> None:
    found = list(unseen.labels(path))
    assert found
    assert all(label.first_line <= label.last_line and re.fullmatch("[0-9a-f]{40}", label.commit) for label in found)


def test_no_repository_is_in_two_sets() -> None:
    sets = [{json.loads(line)["repo"] for line in path.read_text(encoding="utf-8").splitlines()} for path in FILES]
    assert sum(map(len, sets)) == len(set().union(*sets))


def test_the_page_explains_every_kind_and_the_kinds_name_real_rules() -> None:
    page = (FOLDER / "unseen.md").read_text(encoding="utf-8")
    assert {row.split("|")[1].strip() for row in page.splitlines() if row.startswith("| ")} >= set(unseen.IDS_OF_KIND)
    assert {id_ for ids in unseen.IDS_OF_KIND.values() for id_ in ids} <= set(rules.ids())


def test_a_label_of_a_notebook_is_compared_by_cell() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Training\n"]},
        {"cell_type": "code", "outputs": [], "source": ["import torch\n"]},
        {
            "cell_type": "code",
            "outputs": [],
            "source": ["x = 1\n", "args = TrainingArguments(fp16=True)\n"],
        },
    ]
    notebook = json.dumps({"cells": cells}, indent=1)
    line = next(number for number, text in enumerate(notebook.splitlines(), 1) if "TrainingArguments" in text)
    label = unseen.Label("owner/name", "0" * 40, "train.ipynb", line, line, "flags", "warning", "")
    found = unseen.in_cells(label, notebook)
    assert (found.path, found.first_line, found.last_line) == ("train.ipynb#cell2", 2, 2)
