"""Files of the cache: written as a whole, bounded, and not trusted if anything about them is odd."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vc2doctor.core import store
from vc2doctor.core.store import Store, user_folder

CONTENT = b'{"verdict": "fit"}'
NAME = "a" * 64
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "vc2doctor" / "answers"


def test_what_was_written_is_read_with_its_time(folder: Path) -> None:
    Store(folder).write(NAME, CONTENT)
    stored = Store(folder).read(NAME)
    assert stored is not None
    assert stored.content == CONTENT
    assert abs(stored.seconds - time.time()) < 60
    assert (folder / NAME).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert Store(folder).read("b" * 64) is None


def test_reading_makes_no_folder(folder: Path) -> None:
    assert Store(folder).read(NAME) is None
    assert not folder.exists()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, Path("/c/vc2doctor")),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, Path("/h/.cache/vc2doctor")),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, Path("/h/.cache/vc2doctor")),
        ({"HOME": ""}, None),
        ({}, None),
    ],
)
def test_folder_of_the_user(variables: dict[str, str], expected: Path | None) -> None:
    assert user_folder(variables) == expected


def test_without_a_folder_nothing_is_kept() -> None:
    Store(None).write(NAME, CONTENT)
    assert Store(None).read(NAME) is None


def written(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def as_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


def in_future(path: Path) -> None:
    os.utime(path, (time.time() + 3600, time.time() + 3600))


def too_old(path: Path) -> None:
    seconds = time.time() - store.MAX_AGE_SECONDS - 60
    os.utime(path, (seconds, seconds))


def linked(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")


FAULTS: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: written(path, lambda data: data[:-3]),
    "cut off in its head": lambda path: written(path, lambda data: data[:10]),
    "empty": lambda path: path.write_bytes(b""),
    "zeros after a crash": lambda path: written(path, lambda data: bytes(len(data))),
    "binary junk": lambda path: path.write_bytes(os.urandom(5000)),
    "one bit flipped": lambda path: written(path, lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "one byte more": lambda path: written(path, lambda data: data + b" "),
    "head of another version": lambda path: written(path, lambda data: data.replace(b"answer 1", b"answer 0")),
    "content without a head": lambda path: path.write_bytes(CONTENT),
    "time in the future": in_future,
    "time of 1970": lambda path: os.utime(path, (0, 0)),
    "too old": too_old,
    "symbolic link to a good file": linked,
    "symbolic link to nothing": lambda path: replaced(path, lambda gone: gone.symlink_to("nosuch")),
    "symbolic link to itself": lambda path: replaced(path, lambda gone: gone.symlink_to(gone)),
    "symbolic link to an endless device": lambda path: replaced(path, lambda gone: gone.symlink_to("/dev/zero")),
    "second name": lambda path: path.with_name("other").hardlink_to(path),
    "folder": lambda path: replaced(path, Path.mkdir),
    "pipe": lambda path: replaced(path, os.mkfifo),
    "socket": lambda path: replaced(path, as_socket),
    "huge": lambda path: os.truncate(path, store.MAX_FILE_BYTES + 1),
    "sparse file of a terabyte": lambda path: os.truncate(path, 2**40),
    "writable by the group": lambda path: path.chmod(0o660),
    "writable by all": lambda path: path.chmod(0o606),
}


@pytest.mark.parametrize("name", FAULTS)
def test_odd_file_is_not_there_and_is_replaced(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Store(folder)
    kept.write(NAME, CONTENT)
    # The path of a socket may have 108 characters.
    monkeypatch.chdir(folder)
    FAULTS[name](folder / NAME)
    assert kept.read(NAME) is None
    assert not os.path.lexists(folder / NAME)
    kept.write(NAME, CONTENT)
    stored = kept.read(NAME)
    assert stored is not None
    assert stored.content == CONTENT


def test_folder_with_files_in_the_place_of_a_file_stays(folder: Path) -> None:
    (folder / NAME).mkdir(parents=True)
    folder.chmod(0o700)
    (folder / NAME / "precious").touch()
    kept = Store(folder)
    kept.write(NAME, CONTENT)
    assert kept.read(NAME) is None
    assert (folder / NAME / "precious").exists()
    assert [path.name for path in folder.iterdir()] == [NAME], "no temporary file is left"


FOLDER_FAULTS: dict[str, Callable[[Path], object]] = {
    "writable by the group": lambda path: path.chmod(0o770),
    "writable by all": lambda path: path.chmod(0o777),
    "writable by all, as /tmp": lambda path: path.chmod(0o1777),
    "link to a good folder": linked,
}


@pytest.mark.parametrize("name", FOLDER_FAULTS)
def test_folder_that_others_can_change_is_not_used(name: str, folder: Path) -> None:
    kept = Store(folder)
    kept.write(NAME, CONTENT)
    FOLDER_FAULTS[name](folder)
    assert kept.read(NAME) is None
    kept.write("b" * 64, CONTENT)
    assert not (folder / ("b" * 64)).exists()


@needs_root
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_belongs_to_another_user_is_not_trusted(what: str, folder: Path) -> None:
    kept = Store(folder)
    kept.write(NAME, CONTENT)
    os.chown(folder / NAME if what == "file" else folder, 54321, 54321)
    assert kept.read(NAME) is None


@pytest.mark.parametrize("blocker", ["file", "missing"])
def test_folder_that_cannot_be_made_is_no_error(blocker: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = Store(tmp_path / "file" / "answers" if blocker == "file" else Path("/proc/nosuch/answers"))
    kept.write(NAME, CONTENT)
    assert kept.read(NAME) is None


def test_full_disk_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Store(folder)
    kept.write(NAME, CONTENT)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", refuse)
    kept.write("b" * 64, CONTENT)
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_too_much_is_not_kept(folder: Path) -> None:
    Store(folder).write(NAME, bytes(store.MAX_FILE_BYTES))
    assert not folder.exists()


def test_oldest_files_are_removed_beyond_the_number(folder: Path) -> None:
    kept = Store(folder)
    for number in range(store.MAX_FILES + 5):
        kept.write(f"{number:064}", CONTENT)
        os.utime(folder / f"{number:064}", (time.time() - 1000 + number,) * 2)
    kept.write(NAME, CONTENT)
    names = {path.name for path in folder.iterdir()}
    assert len(names) == store.MAX_FILES
    assert NAME in names
    assert f"{0:064}" not in names


def test_oldest_files_are_removed_beyond_the_bytes(folder: Path) -> None:
    kept = Store(folder)
    size = store.MAX_FILE_BYTES - 200
    for number in range(store.MAX_BYTES // size + 3):
        kept.write(f"{number:064}", bytes(size))
        os.utime(folder / f"{number:064}", (time.time() - 1000 + number,) * 2)
    kept.write(NAME, CONTENT)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= store.MAX_BYTES
    assert (folder / NAME).exists()


def test_temporary_files_of_killed_processes_are_removed(folder: Path) -> None:
    kept = Store(folder)
    kept.write(NAME, CONTENT)
    for name, age in ((".new-old", 3600), (".new-young", 1)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    kept.write(NAME, CONTENT)
    assert sorted(path.name for path in folder.iterdir()) == [".new-young", NAME]


def test_file_that_is_replaced_while_it_is_opened_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Store(folder)
    kept.write(NAME, CONTENT)
    fstat = os.fstat

    def fstat_after_a_write(descriptor: int) -> os.stat_result:
        monkeypatch.setattr(os, "fstat", fstat)
        if not stat.S_ISREG(fstat(descriptor).st_mode):
            monkeypatch.setattr(os, "fstat", fstat_after_a_write)
            return fstat(descriptor)
        kept.write(NAME, b"new")
        return fstat(descriptor)

    monkeypatch.setattr(os, "fstat", fstat_after_a_write)
    stored = kept.read(NAME)
    assert stored is not None
    assert stored.content == CONTENT
    stored = kept.read(NAME)
    assert stored is not None
    assert stored.content == b"new"


def test_readers_see_the_old_or_the_new_content_while_several_write(folder: Path) -> None:
    contents = [bytes([65 + number]) * 200_000 for number in range(8)]
    kept = Store(folder)
    kept.write(NAME, contents[0])
    writers = [threading.Thread(target=kept.write, args=(NAME, content)) for content in contents for _ in range(5)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        stored = kept.read(NAME)
        assert stored is not None
        assert stored.content in contents
    assert [path.name for path in folder.iterdir()] == [NAME]
