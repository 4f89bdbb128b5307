"""Scratch folders: made for one user, and removed with whatever a target left in them."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

import pytest

from vc2doctor.core import janitor, scratch
from vc2doctor.core.scratch import LOCK, PREFIX, ScratchError


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def abandoned(temporary: Path, name: str = "old") -> Path:
    """Make a folder as a run leaves it that was killed with its janitor."""
    folder = temporary / f"{PREFIX}{name}"
    folder.mkdir()
    (folder / LOCK).touch()
    (folder / "file").touch()
    return folder


def test_folder_is_private_and_removed(temporary: Path) -> None:
    with scratch.folder() as folder:
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").touch()
    assert list(temporary.iterdir()) == []


def test_folder_is_removed_after_an_exception(temporary: Path) -> None:
    with pytest.raises(KeyError), scratch.folder():
        raise KeyError
    assert list(temporary.iterdir()) == []


def test_abandoned_folder_is_removed(temporary: Path) -> None:
    abandoned(temporary)
    with scratch.folder() as folder:
        assert list(temporary.iterdir()) == [folder]


def test_folder_in_use_stays(temporary: Path) -> None:
    folder = abandoned(temporary)
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        scratch.remove_abandoned(temporary)
    assert folder.exists()
    with scratch.folder() as used:
        scratch.remove_abandoned(temporary)
        assert used.exists()
    assert not folder.exists()


def test_what_is_no_scratch_folder_of_ours_stays(temporary: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / LOCK).touch()
    (temporary / f"{PREFIX}link").symlink_to(outside)
    (temporary / f"{PREFIX}file").touch()
    (temporary / f"{PREFIX}without-lock").mkdir()
    (temporary / f"{PREFIX}linked-lock").mkdir()
    (temporary / f"{PREFIX}linked-lock" / LOCK).symlink_to(outside / LOCK)
    (temporary / f"{PREFIX}fifo").mkdir()
    os.mkfifo(temporary / f"{PREFIX}fifo" / LOCK)
    (temporary / "another").mkdir()
    (temporary / "another" / LOCK).touch()
    before = set(temporary.rglob("*"))
    scratch.remove_abandoned(temporary)
    assert set(temporary.rglob("*")) == before
    assert (outside / LOCK).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_folder_of_another_user_stays(temporary: Path) -> None:
    folder = abandoned(temporary)
    os.chown(folder, 12345, -1)
    scratch.remove_abandoned(temporary)
    assert folder.exists()


def test_no_temporary_folder_is_an_error_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with (
        pytest.raises(ScratchError, match=r"no temporary folder can be made: .*nowhere.* No such file.* Set TMPDIR"),
        scratch.folder(),
    ):
        pass


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "kept").mkdir(parents=True)
    folder = tmp_path / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    for place in (folder, folder / "a", folder / "a" / "b"):
        (place / "link").symlink_to(outside)
        (place / "broken").symlink_to(tmp_path / "nowhere")
        os.mkfifo(place / "fifo")
    assert janitor.remove(str(folder))
    assert (outside / "kept").is_dir()
    assert not folder.exists()


def test_link_in_the_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    assert not janitor.remove(str(tmp_path / "link"))
    assert (tmp_path / "outside" / "kept").exists()


def test_folders_without_permissions_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "a" / "b" / "c").mkdir(parents=True)
    for path in (folder / "a" / "b" / "c", folder / "a" / "b", folder / "a"):
        path.chmod(0)
    assert janitor.remove(str(folder))


def test_very_deep_tree_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(1030):
        os.mkdir("x" * 20, dir_fd=descriptor)
        below = os.open("x" * 20, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    assert janitor.remove(str(folder))


def test_removing_what_is_gone_succeeds(tmp_path: Path) -> None:
    assert janitor.remove(str(tmp_path / "nowhere"))
