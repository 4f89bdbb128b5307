"""Whole programs are switched to bfloat16: completely, or refused with the reason and left as they are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from vc2doctor.linter.fix.programs import programs_of
from vc2doctor.linter.fix.remaining import tokens_of
from vc2doctor.linter.fix.transaction import fix
from vc2doctor.linter.fix.view import ProjectView
from vc2doctor.linter.model import FixResult
from vc2doctor.linter.run import LintResult, LintTask, apply_rules

PROGRAMS = Path(__file__).parent / "fixtures" / "programs"
NAMES = sorted(path.name for path in PROGRAMS.iterdir())
COMPLETE = [name for name in NAMES if not (PROGRAMS / name / "refused.txt").exists()]
REFUSED = [name for name in NAMES if name not in COMPLETE]


def task_of(folder: Path) -> LintTask:
    return LintTask(paths=(folder,), precision="bf16")


def switch(folder: Path, *, write: bool = True, allow_dirty: bool = False) -> tuple[FixResult, LintResult]:
    task = task_of(folder)
    return fix(task, apply_rules(task), unsafe=False, write=write, allow_dirty=allow_dirty)


def copied(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROGRAMS / name / "before", tmp_path / name))


def texts(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in files}


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def committed(folder: Path) -> Path:
    """Make a folder a git repository with everything committed."""
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "as it was")
    return folder


@pytest.mark.parametrize("name", COMPLETE)
def test_program_is_switched_completely(name: str, tmp_path: Path) -> None:
    folder = copied(name, tmp_path)
    result, after = switch(folder)
    assert result.refused == ()
    assert texts(folder) == texts(PROGRAMS / name / "after")
    assert not [finding for finding in after.findings if finding.cause == "float16" and finding.severity.rank]
    for path in folder.rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), path.name, "exec")
    view = ProjectView(task_of(folder), apply_rules(task_of(folder)), {})
    left = [token for program in programs_of(view) for token in tokens_of(view, program)]
    assert all(token.stays for token in left)


@pytest.mark.parametrize("name", COMPLETE)
def test_second_switch_changes_nothing(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(PROGRAMS / name / "after", tmp_path / name))
    result, _ = switch(folder)
    assert result.files == ()
    assert result.refused == ()
    assert {program.outcome for program in result.programs} == {"nothing to do"}


@pytest.mark.parametrize("name", REFUSED)
def test_program_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    folder = copied(name, tmp_path)
    result, _ = switch(folder)
    assert texts(folder) == texts(PROGRAMS / name / "after")
    for expected in (PROGRAMS / name / "refused.txt").read_text(encoding="utf-8").splitlines():
        assert any(expected in reason for reason in result.refused), result.refused


GPU_PROGRAMS = PROGRAMS.parent / "without_bfloat16"


@pytest.mark.parametrize("name", sorted(path.name for path in GPU_PROGRAMS.iterdir()))
def test_program_for_a_gpu_without_bfloat16_is_switched_completely_or_refused(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GPU_PROGRAMS / name / "before", tmp_path / name))
    task = LintTask(paths=(folder,), precision="fp16")
    result, _ = fix(task, apply_rules(task), unsafe=False, write=True)
    assert texts(folder) == texts(GPU_PROGRAMS / name / "after")
    expected = GPU_PROGRAMS / name / "refused.txt"
    reasons = expected.read_text(encoding="utf-8").splitlines() if expected.exists() else []
    assert bool(result.refused) is bool(reasons)
    assert all(any(reason in each for each in result.refused) for reason in reasons)
    second, _ = fix(task, apply_rules(task), unsafe=False, write=True)
    assert second.files == ()


def test_program_is_fixed_beside_a_refused_one_that_shares_no_edited_file(tmp_path: Path) -> None:
    shutil.copytree(PROGRAMS / "refused_apex" / "before", tmp_path / "one")
    shutil.copytree(PROGRAMS / "qlora_with_trainer" / "before", tmp_path / "two")
    result, _ = switch(tmp_path)
    outcomes = {program.name: program.outcome for program in result.programs}
    assert outcomes == {"one/train.py": "refused", "two/train.py": "fixed"}
    assert texts(tmp_path / "two") == texts(PROGRAMS / "qlora_with_trainer" / "after")
    assert texts(tmp_path / "one") == texts(PROGRAMS / "refused_apex" / "before")


def test_file_whose_real_path_is_outside_is_refused_and_not_written(tmp_path: Path) -> None:
    folder = copied("qlora_with_trainer", tmp_path)
    outside = tmp_path / "elsewhere.py"
    (folder / "train.py").rename(outside)
    (folder / "train.py").symlink_to(outside)
    before = outside.read_text(encoding="utf-8")
    result, _ = switch(folder)
    assert not result.written
    assert any("its real path lies outside of the paths that you named" in reason for reason in result.refused)
    assert outside.read_text(encoding="utf-8") == before


def test_link_that_is_named_itself_is_fixed(tmp_path: Path) -> None:
    folder = copied("qlora_with_trainer", tmp_path)
    link = tmp_path / "link.py"
    link.symlink_to(folder / "train.py")
    result, _ = switch(link)
    assert result.written
    assert texts(folder) == texts(PROGRAMS / "qlora_with_trainer" / "after")


@pytest.mark.parametrize("change", ["modified", "untracked", "ignored"])
def test_file_that_git_cannot_restore_is_refused_without_allow_dirty(change: str, tmp_path: Path) -> None:
    folder = copied("qlora_with_trainer", tmp_path)
    script = folder / "train.py"
    if change == "modified":
        committed(folder)
        script.write_text(script.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    else:
        name = "other.txt" if change == "untracked" else ".gitignore"
        content = "" if change == "untracked" else "other.py\n"
        (folder / name).write_text(content, encoding="utf-8")
        git(folder, "init", "-q")
        git(folder, "add", name)
        git(folder, "commit", "-qm", "without the script")
    result, _ = switch(folder)
    assert not result.written
    assert any("not as the last commit has it" in reason for reason in result.refused)
    result, _ = switch(folder, allow_dirty=True)
    assert result.written


def test_dirty_file_that_is_not_edited_does_not_matter(tmp_path: Path) -> None:
    folder = committed(copied("qlora_with_trainer", tmp_path))
    (folder / "notes.txt").write_text("mine\n", encoding="utf-8")
    result, _ = switch(folder)
    assert result.written


def test_undo_command_restores_the_files(tmp_path: Path) -> None:
    folder = committed(copied("hand_loop", tmp_path))
    result, _ = switch(folder)
    assert texts(folder) == texts(PROGRAMS / "hand_loop" / "after")
    assert result.undo is not None
    subprocess.run(result.undo.split(), check=True, capture_output=True)
    assert texts(folder) == texts(PROGRAMS / "hand_loop" / "before")


def test_fsmonitor_of_a_repository_is_not_run(tmp_path: Path) -> None:
    folder = committed(copied("qlora_with_trainer", tmp_path))
    trap = tmp_path / "ran"
    git(folder, "config", "core.fsmonitor", f"touch {trap}; false")
    switch(folder)
    assert not trap.exists()


def test_comment_tells_the_fixer_to_leave_a_line(tmp_path: Path) -> None:
    folder = copied("qlora_with_trainer", tmp_path)
    path = folder / "train.py"
    text = path.read_text(encoding="utf-8")
    ignored = "    bnb_4bit_compute_dtype=torch.float16,"
    path.write_text(text.replace(ignored, f"{ignored}  # vc2doctor: ignore"), encoding="utf-8")
    result, _ = switch(folder)
    assert f"{ignored}  # vc2doctor: ignore" in path.read_text(encoding="utf-8")
    (program,) = result.programs
    assert any("a comment on this line" in each.reason for each in program.remaining)


def test_vendored_and_unreached_code_is_left_alone_and_inference_is_named(tmp_path: Path) -> None:
    folder = copied("hand_loop", tmp_path)
    (folder / "demo.py").write_text(
        "import torch\nfrom engine import evaluate\n\nevaluate(torch.nn.Linear(8, 8).half(), [])\n", encoding="utf-8"
    )
    result, _ = switch(folder)
    assert ".half()" in (folder / "demo.py").read_text(encoding="utf-8")
    assert any(caution.startswith("demo.py: uses code that is bfloat16 now") for caution in result.cautions)
