"""A report says what was read, what was left out, and what was not understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.linter.test_source import TRAINING_CODE, write_training_code
from vc2doctor.findings import Severity
from vc2doctor.linter.model import Coverage
from vc2doctor.linter.run import LintTask, apply_rules
from vc2doctor.linter.settings import LintSettings
from vc2doctor.report.formats import render

RUN = 'if __name__ == "__main__":\n    train()\n'


def coverage(folder: Path, **files: str) -> Coverage:
    """Write files, whose names have ``__`` for a slash, and return what a report says was read of them."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_py", ".py").replace("_sh", ".sh").replace("_yaml", ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return apply_rules(LintTask(paths=(folder,))).coverage


def not_understood(found: Coverage) -> list[tuple[str, str, int | None]]:
    return [(each.kind, each.path, each.line) for each in found.not_understood]


def test_files_are_counted_by_kind(tmp_path: Path) -> None:
    found = coverage(tmp_path, a_py=TRAINING_CODE, b_py="x = 1\n", c_yaml="fp16: true\n", run_sh="python a.py\n")
    assert found.files.model_dump() == {"python": 2, "notebooks": 0, "configurations": 1, "scripts": 1, "documents": 0}
    assert len(found.rules) > 1


def test_document_counts_only_if_it_shows_a_command_that_starts_training(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("Run it:\n\n```bash\npython a.py --fp16\n```\n", encoding="utf-8")
    (tmp_path / "NOTES.md").write_text("# Notes\n\n```\nls\n```\n", encoding="utf-8")
    found = coverage(tmp_path, a_py=TRAINING_CODE)
    assert found.files.documents == 1
    assert [(each.path, each.line) for each in found.programs if each.kind == "launch"] == [("README.md", 4)]


@pytest.mark.parametrize(
    ("files", "programs"),
    [
        ({"a_py": TRAINING_CODE}, []),
        ({"a_py": TRAINING_CODE + RUN}, [("module", "a.py", None)]),
        ({"a_py": TRAINING_CODE, "main_py": f"from a import train  # amp\n{RUN}"}, [("module", "main.py", None)]),
        ({"a_py": TRAINING_CODE, "main_py": f"import a  # amp\n{RUN}"}, [("module", "main.py", None)]),
        ({"a_py": TRAINING_CODE, "run_sh": "\npython a.py\n"}, [("launch", "run.sh", 2)]),
        ({"a_py": TRAINING_CODE, "tests__a_py": TRAINING_CODE + RUN}, []),
    ],
)
def test_programs_are_what_is_run_and_leads_to_training(
    files: dict[str, str], programs: list[tuple[str, str, int | None]], tmp_path: Path
) -> None:
    found = coverage(tmp_path, **files)
    assert [(each.kind, each.path, each.line) for each in found.programs] == programs


def test_training_code_that_nothing_starts_is_not_understood(tmp_path: Path) -> None:
    assert not_understood(coverage(tmp_path, a_py=TRAINING_CODE)) == [("program", "a.py", None)]
    assert not_understood(coverage(tmp_path, a_py=TRAINING_CODE + RUN)) == []


@pytest.mark.parametrize(
    "line", ["with torch.autocast('cuda', dtype=args.dtype):", "with torch.cuda.amp.autocast(dtype=get_dtype()):"]
)
def test_dtype_that_only_a_run_can_tell_is_not_understood(line: str, tmp_path: Path) -> None:
    code = TRAINING_CODE.replace("with torch.cuda.amp.autocast():", line)
    assert not_understood(coverage(tmp_path, a_py=code + RUN)) == [("dtype", "a.py", 5)]


def test_dtype_of_weights_that_only_a_run_can_tell_is_not_understood(tmp_path: Path) -> None:
    code = "model = AutoModel.from_pretrained(name, torch_dtype=args.dtype)\nmodel(x).backward()\n"
    assert not_understood(coverage(tmp_path, a_py=code)) == [("dtype", "a.py", 1)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("#!/bin/sh\n\nlauncher --config x train_model --bf16\n", [("launcher", "run.sh", 3)]),
        ("# how to train\nls\n", []),
        ("python a.py --bf16\n", []),
    ],
)
def test_script_with_an_unknown_launcher_is_not_understood(
    script: str, expected: list[tuple[str, str, int | None]], tmp_path: Path
) -> None:
    assert not_understood(coverage(tmp_path, a_py=TRAINING_CODE + RUN, run_sh=script)) == expected


def test_unread_file_is_not_understood(tmp_path: Path) -> None:
    found = coverage(tmp_path, a_py=TRAINING_CODE + RUN, b_py="autocast(\n")
    assert not_understood(found) == [("file", "b.py", 1)]


def test_deprecated_names_are_one_finding_whose_places_are_counted(tmp_path: Path) -> None:
    write_training_code(tmp_path, "a.py", "b/c.py", "d.py")
    task = LintTask(paths=(tmp_path,), settings=LintSettings(select=("VC108",), per_file_ignores={"d.py": ("VC108",)}))
    (finding,) = apply_rules(task).findings
    assert [place.location for place in finding.places] == ["a.py:5", "b/c.py:5"]
    assert finding.severity is Severity.NOTE


def test_deprecated_names_are_one_line_of_the_report(tmp_path: Path) -> None:
    from vc2doctor.commands.lint import LintRequest, lint  # noqa: PLC0415

    write_training_code(tmp_path, "a.py", "b/c.py", "d.py")
    text = render("lint", lint(LintRequest(paths=(tmp_path,), select=("VC108",)), tmp_path), "text")
    (line,) = [line for line in text.splitlines() if "VC108" in line]
    assert "a.py:5 and 2 more places" in line


def test_left_out_files_are_listed_with_their_number(tmp_path: Path) -> None:
    write_training_code(tmp_path, "train.py", "vendor/a.py", "vendor/b.py")
    (left_out,) = coverage(tmp_path).left_out
    assert left_out.model_dump() == {
        "path": "vendor",
        "reason": "is a folder for the code of others, by its name",
        "files": 2,
    }
