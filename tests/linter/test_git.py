"""A fix in git repositories that lie, hide changes, or name programs to run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.linter.test_programs import PROGRAMS, committed, copied, git, switch, texts
from vc2doctor.core.writing import OutputError
from vc2doctor.linter.fix.edited import EditedTexts, unified_diff
from vc2doctor.linter.fix.git import uncommitted
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


def undone(undo: str | None, *folders: Path) -> None:
    """Run the command that the report prints, and check that every folder is as it was committed."""
    subprocess.run(["/bin/sh", "-c", str(undo)], check=True, capture_output=True)
    for folder in folders:
        assert git(folder, "diff", "HEAD", "--", "train.py") == ""
        before = PROGRAMS / "qlora_with_trainer" / "before" / "train.py"
        assert (folder / "train.py").read_bytes() == before.read_bytes()


def test_undo_works_in_a_repository_with_sha256_names(tmp_path: Path) -> None:
    folder = copied("qlora_with_trainer", tmp_path)
    git(folder, "init", "-q", "--object-format=sha256")
    result, _ = switch(committed(folder))
    assert result.written
    undone(result.undo, folder)


def test_undo_covers_every_repository_that_holds_a_changed_file(tmp_path: Path) -> None:
    outer = copied("qlora_with_trainer", tmp_path)
    inner = committed(Path(shutil.copytree(outer, outer / "inner")))
    committed(outer)
    result, _ = switch(outer)
    assert result.written
    assert len(result.files) == 2
    undone(result.undo, outer, inner)


def test_undo_says_that_some_files_are_in_no_repository(tmp_path: Path) -> None:
    committed(copied("qlora_with_trainer", tmp_path))
    shutil.copytree(PROGRAMS / "qlora_with_trainer" / "before", tmp_path / "other")
    result, _ = switch(tmp_path)
    assert result.written
    assert str(result.undo).startswith("Some files are in no git repository")


def test_undo_works_in_a_linked_worktree_and_for_a_skipped_file(tmp_path: Path) -> None:
    folder = committed(copied("qlora_with_trainer", tmp_path))
    git(folder, "worktree", "add", "-q", str(tmp_path / "linked"))
    git(tmp_path / "linked", "update-index", "--skip-worktree", "train.py")
    result, _ = switch(tmp_path / "linked")
    assert result.written
    undone(result.undo, tmp_path / "linked")


def test_undo_of_a_name_that_is_a_pattern_restores_no_other_file(tmp_path: Path) -> None:
    folder = copied("qlora_with_trainer", tmp_path)
    (folder / "train.py").rename(folder / "*.py")
    (folder / "other.py").write_text("x = 1\n", encoding="utf-8")
    committed(folder)
    (folder / "other.py").write_text("x = 1  # mine\n", encoding="utf-8")
    result, _ = switch(folder)
    assert result.written
    subprocess.run(["/bin/sh", "-c", str(result.undo)], check=True)
    assert "bf16=True" not in (folder / "*.py").read_text(encoding="utf-8")
    assert "mine" in (folder / "other.py").read_text(encoding="utf-8")


def test_a_staged_version_is_not_thrown_away(tmp_path: Path) -> None:
    folder = committed(copied("qlora_with_trainer", tmp_path))
    before = (folder / "train.py").read_bytes()
    changed(folder)
    git(folder, "add", "train.py")
    (folder / "train.py").write_bytes(before)
    result, _ = switch(folder)
    assert any(NOT_COMMITTED in reason for reason in result.refused)


@pytest.mark.parametrize("setting", [("core.bare", "true"), ("core.worktree", "/")])
def test_a_repository_whose_files_are_elsewhere_is_refused(setting: tuple[str, str], tmp_path: Path) -> None:
    folder = committed(copied("qlora_with_trainer", tmp_path))
    git(folder, "config", *setting)
    with pytest.raises(FixError, match="git cannot say which files have uncommitted changes"):
        switch(folder)


def test_a_git_folder_that_is_no_repository_is_refused_inside_of_one(tmp_path: Path) -> None:
    folder = copied("qlora_with_trainer", tmp_path)
    committed(tmp_path)
    (folder / ".git").mkdir()
    with pytest.raises(FixError, match=r"git takes .* for the root"):
        switch(folder)


@pytest.mark.parametrize("damage", ["missing", "damaged", "of other content"])
def test_an_object_that_git_cannot_read_restores_nothing(damage: str, tmp_path: Path) -> None:
    folder = committed(copied("qlora_with_trainer", tmp_path))
    name = git(folder, "rev-parse", "HEAD:train.py").strip()
    other = git(folder, "hash-object", "-w", __file__).strip()
    path = folder / ".git" / "objects" / name[:2] / name[2:]
    path.chmod(0o600)
    path.unlink()
    if damage == "damaged":
        path.write_bytes(b"x")
    elif damage == "of other content":
        shutil.copy(folder / ".git" / "objects" / other[:2] / other[2:], path)
        result, _ = switch(folder)
        assert any(NOT_COMMITTED in reason for reason in result.refused)
        return
    with pytest.raises(
        FixError, match=r"git cannot say which files have uncommitted changes: (fatal: |object [0-9a-f]+ is missing)"
    ):
        switch(folder)


def test_many_files_need_no_more_runs_of_git_than_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, log, programs = shutil.which("git"), tmp_path / "log", tmp_path / "bin"
    programs.mkdir()
    (programs / "git").write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {real} "$@"\n', encoding="utf-8")
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    counts = []
    for number in (1, 5):
        folder = tmp_path / f"of-{number}"
        folder.mkdir()
        paths = [folder / f"train{each}.py" for each in range(number)]
        for path in paths:
            # An empty file, and files with line breaks at their end and without.
            path.write_text(f"x = {path.stem[-1]}\n" * int(path.stem[-1]) + "y", encoding="utf-8")
        (folder / "train0.py").write_text("", encoding="utf-8")
        committed(folder)
        log.unlink()
        assert uncommitted(paths) == []
        counts.append(len(log.read_text(encoding="utf-8").splitlines()))
        paths[-1].write_text("z", encoding="utf-8")
        assert uncommitted(paths) == paths[-1:]
    assert counts[0] == counts[1]


def test_a_partial_clone_asks_no_server(tmp_path: Path) -> None:
    source, marker = committed(copied("qlora_with_trainer", tmp_path)), tmp_path / "it-ran"
    git(source, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", source.as_uri(), "part")
    clone = tmp_path / "part"
    git(clone, "config", "remote.origin.url", f"ext::sh -c 'touch {marker}'")
    result, _ = switch(clone)
    assert result.written
    undone(result.undo, clone)
    for pack in (clone / ".git" / "objects" / "pack").iterdir():
        pack.unlink()
    with pytest.raises(FixError, match="git cannot say"):
        switch(clone)
    assert not marker.exists()


def test_a_link_into_the_folder_of_git_is_not_followed(tmp_path: Path) -> None:
    folder = copied("qlora_with_trainer", tmp_path)
    git(folder, "init", "-q")
    (folder / "train.py").rename(folder / ".git" / "train.py")
    (folder / "train.py").symlink_to(".git/train.py")
    result, _ = switch(folder, allow_dirty=True)
    assert any("belong to git" in reason for reason in result.refused)


def test_undo_of_a_link_names_the_repository_of_its_target(tmp_path: Path) -> None:
    folder = committed(copied("qlora_with_trainer", tmp_path))
    (tmp_path / "links").mkdir()
    git(tmp_path / "links", "init", "-q")
    link = tmp_path / "links" / "train.py"
    link.symlink_to(folder / "train.py")
    result, _ = switch(link)
    assert result.written
    undone(result.undo, folder)
