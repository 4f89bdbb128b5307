"""The same fault in copies of one file is one finding."""

from __future__ import annotations

from pathlib import Path

from vc2doctor.linter.run import LintTask, apply_rules

_MODEL = """\
import torch
from torch import nn


class Net(nn.Module):
    def forward(self, x, labels):
        query = x.to(torch.float16)
        loss = (query - labels).float().pow(2).mean()
        return loss
"""


def _findings(folder: Path, names: tuple[str, ...]) -> list[int]:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_MODEL, encoding="utf-8")
    found = apply_rules(LintTask(paths=(folder,))).findings
    return sorted(len(finding.places) for finding in found if finding.id == "VC107")


def test_three_copies_are_one_finding(tmp_path: Path) -> None:
    assert _findings(tmp_path, ("7B/model.py", "12B/model.py", "30B/model.py")) == [3]


def test_two_files_of_one_name_are_two(tmp_path: Path) -> None:
    path = tmp_path / "30B" / "model.py"
    path.parent.mkdir()
    path.write_text(f"{_MODEL}\n\nSIZE = 30\n", encoding="utf-8")
    assert _findings(tmp_path, ("7B/model.py",)) == [1, 1]


def test_two_files_with_the_same_text_are_copies(tmp_path: Path) -> None:
    assert _findings(tmp_path, ("train/model.py", "utils/model.py")) == [2]


def test_other_names_are_not_copies(tmp_path: Path) -> None:
    assert _findings(tmp_path, ("7B/model.py", "12B/other.py", "30B/third.py")) == [1, 1, 1]


def test_copies_in_units_of_their_own_stay_apart(tmp_path: Path) -> None:
    for name in ("7B", "12B", "30B"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "requirements.txt").write_text("torch\n", encoding="utf-8")
    assert _findings(tmp_path, ("7B/model.py", "12B/model.py", "30B/model.py")) == [1, 1, 1]
