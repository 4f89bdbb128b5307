"""A fix in git repositories that lie, hide changes, or name programs to run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.linter.test_programs import committed, copied, git, switch, texts
from vc2doctor.core.writing import OutputError
from vc2doctor.linter.fix.edited import EditedTexts, unified_diff
from vc2doctor.linter.model import Edit, FixError

NOT_COMMITTED = "not as the last commit has it"


def changed(folder: Path) -> Path:
    """Return the script of a committed program, with a change that is not committed."""
    script = folder / "train.py"
    script.write_text(script.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    return script


def program(path: Path, marker: Path) -> str:
    """Return the path of a new program that leaves a marker when it runs."""
    path.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("setting", ["filter.x.clean", "filter.x.process", "core.fsmonitor", "diff.x.textconv"])
def test_no_program_that_a_repository_names_is_run(setting: str, tmp_path: Path) -> None:
    marker = tmp_path / "it-ran"
    folder = committed(copied("qlora_with_trainer", tmp_path))
    (folder / ".git" / "info").mkdir(exist_ok=True)
    (folder / ".git" / "info" / "attributes").write_text("* filter=x diff=x\n", encoding="utf-8")
    git(folder, "config", setting, program(tmp_path / "evil", marker))
    # git compares the content of a file whose time differs from that in the index.
    os.utime(folder / "train.py", (1, 1))
    result, _ = switch(folder)
    assert result.written
    assert not marker.exists()


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_the_index_hides_is_seen(flag: str, tmp_path: Path) -> None:
    folder = committed(copied("qlora_with_trainer", tmp_path))
    git(folder, "update-index", flag, "train.py")
    changed(folder)
    result, _ = switch(folder)
    assert not result.written
    assert any(NOT_COMMITTED in reason for reason in result.refused)


def test_a_staged_change_is_not_committed(tmp_path: Path) -> None:
    folder = committed(copied("qlora_with_trainer", tmp_path))
    changed(folder)
    git(folder, "add", "train.py")
    result, _ = switch(folder)
    assert any(NOT_COMMITTED in reason for reason in result.refused)


def test_a_repository_without_a_commit_restores_nothing(tmp_path: Path) -> None:
    folder = copied("qlora_with_trainer", tmp_path)
    git(folder, "init", "-q")
    result, _ = switch(folder)
    assert any(NOT_COMMITTED in reason for reason in result.refused)


def test_line_ends_that_git_converts_are_no_change(tmp_path: Path) -> None:
    folder = committed(copied("qlora_with_trainer", tmp_path))
    script = folder / "train.py"
    script.write_bytes(script.read_bytes().replace(b"\n", b"\r\n"))
    result, _ = switch(folder)
    assert result.written


def test_without_git_a_repository_is_not_called_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = committed(copied("qlora_with_trainer", tmp_path))
    before = texts(folder)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(FixError, match="git is not installed"):
        switch(folder)
    assert texts(folder) == before
    result, _ = switch(folder, allow_dirty=True)
    assert result.written
    assert "Only a copy of the files can undo it" in str(result.undo)


def test_a_git_file_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    folder = copied("qlora_with_trainer", tmp_path)
    (folder / ".git").write_text("gitdir: /nowhere\n", encoding="utf-8")
    with pytest.raises(FixError, match="git cannot say which files have uncommitted changes"):
        switch(folder)


def test_variables_of_git_do_not_choose_another_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = committed(copied("qlora_with_trainer", tmp_path))
    changed(folder)
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    result, _ = switch(folder)
    assert any(NOT_COMMITTED in reason for reason in result.refused)


def test_git_of_the_working_directory_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "it-ran"
    folder = committed(copied("qlora_with_trainer", tmp_path))
    program(folder / "git", marker)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.pathsep}{os.environ['PATH']}")
    result, _ = switch(folder)
    assert result.written
    assert not marker.exists()


def test_a_file_that_was_saved_during_the_fix_is_not_overwritten(tmp_path: Path) -> None:
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    for path in (first, second):
        path.write_text("x = 1\n", encoding="utf-8")
    edited = EditedTexts(tmp_path)
    for path in (first, second):
        edited.apply(
            path.name, [Edit(path=path.name, line=1, column=4, end_line=1, end_column=5, kind="replace-span", text="2")]
        )
    second.write_text("x = 1\ny = 3\n", encoding="utf-8")
    with pytest.raises(OutputError, match="another program has changed it"):
        edited.write()
    assert first.read_text(encoding="utf-8") == "x = 1\n"
    assert second.read_text(encoding="utf-8") == "x = 1\ny = 3\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.py", "b.py"]


@pytest.mark.parametrize("name", ["a\nb.py", 'a"b.py', "a\\b.py", "a\tb c.py", "ä b.py", os.fsdecode(b"nu\xff.py")])
def test_patch_of_an_odd_name_applies(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("x = 1\n", encoding="utf-8")
    committed(tmp_path)
    patch = tmp_path.parent / "odd.diff"
    patch.write_text(unified_diff(name, "x = 1\n", "x = 2\n"), encoding="utf-8")
    git(tmp_path, "apply", str(patch))
    assert (tmp_path / name).read_text(encoding="utf-8") == "x = 2\n"
