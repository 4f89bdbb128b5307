"""Files are written completely or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from vc2doctor.core.writing import (
    OutputError,
    append_output,
    check_output,
    replace_all,
    write_output,
    write_outputs,
)


def test_new_file_is_written_with_the_default_mode(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_output(path, "é\n")
    assert path.read_text(encoding="utf-8") == "é\n"
    assert path.stat().st_mode & 0o777 == 0o644


def test_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    path.chmod(0o600)
    write_output(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)


def test_text_that_cannot_be_encoded_is_written_with_a_question_mark(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_output(path, "new \ud800")
    assert path.read_text() == "new ?"
    assert list(tmp_path.iterdir()) == [path]


def test_pipe_without_a_reader_is_an_error_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OutputError, match="pipe: cannot be written: it is a pipe that no program reads"):
        write_output(path, "x")


def test_path_with_a_null_byte_is_an_output_error() -> None:
    with pytest.raises(OutputError, match="null byte"):
        write_output(Path("a\0b"), "x")


def test_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere/report\.json: cannot be written: No such file"):
        write_output(tmp_path / "nowhere" / "report.json", "x")


def test_several_files_are_all_written_or_none(tmp_path: Path) -> None:
    paths = [tmp_path / "a.py", tmp_path / "gone" / "b.py"]
    paths[0].write_text("old")
    with pytest.raises(OutputError, match=r"b\.py: cannot be written"):
        replace_all(dict.fromkeys(paths, b"new"))
    assert paths[0].read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.py"]
    paths[1].parent.mkdir()
    replace_all(dict.fromkeys(paths, b"new"))
    assert [path.read_bytes() for path in paths] == [b"new", b"new"]


def test_new_file_follows_the_umask(tmp_path: Path) -> None:
    umask_before = os.umask(0o027)
    try:
        write_output(tmp_path / "report.json", "x")
    finally:
        os.umask(umask_before)
    assert (tmp_path / "report.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_replaced_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    os.chown(path, 12345, 12346)
    write_output(path, "new")
    status = path.stat()
    assert (path.read_text(), status.st_uid, status.st_gid) == ("new", 12345, 12346)


def test_symbolic_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name, old in (("existing", "old"), ("dangling", None)):
        target, link = tmp_path / "folder" / name, tmp_path / f"link-{name}"
        if old is not None:
            target.write_text(old)
        link.symlink_to(target)
        write_output(link, "new")
        assert link.is_symlink()
        assert target.read_text() == "new"


def test_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_output(path, "the report")
        assert os.read(reader, 100) == b"the report"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_device_is_written_to_and_stays_a_device(tmp_path: Path) -> None:
    path = tmp_path / "null"
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    write_output(path, "x")
    assert stat.S_ISCHR(path.stat().st_mode)


def test_full_device_is_an_output_error() -> None:
    with pytest.raises(OutputError, match="/dev/full: cannot be written: No space left"):
        write_output(Path("/dev/full"), "x")


def test_redirected_standard_output_keeps_its_content(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    source = "from pathlib import Path\nfrom vc2doctor.core.writing import write_output\n"
    source += "write_output(Path('/dev/stdout'), 'report\\n')"
    with log.open("a") as stream:
        subprocess.run([sys.executable, "-c", source], stdout=stream, check=True)
    assert log.read_text() == "before\nreport\n"


def test_outputs_are_all_written_or_none(tmp_path: Path) -> None:
    first = tmp_path / "first"
    with pytest.raises(OutputError, match="nowhere/second: cannot be written"):
        write_outputs([(first, "1"), (tmp_path / "nowhere" / "second", "2")])
    assert list(tmp_path.iterdir()) == []
    write_outputs([(first, "1"), (tmp_path / "second", "2")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_check_finds_what_cannot_be_written_and_leaves_nothing(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("old")
    for path in (old, tmp_path / "new", Path("/dev/null"), Path("/dev/stdout")):
        check_output(path)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert old.read_text() == "old"
    for path, reason in (
        (tmp_path, "Is a directory"),
        (tmp_path / "nowhere" / "new", "No such file"),
        (old / "new", "Not a directory"),
        (tmp_path / ("n" * 300), "File name too long"),
        (Path("a\0b"), "null byte"),
    ):
        with pytest.raises(OutputError, match=reason):
            check_output(path)


def test_check_does_not_open_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    check_output(path)
    write_output(path, "x")
    assert os.read(reader, 10) == b"x"
    os.close(reader)


def test_text_is_added_to_a_file_or_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    for text in ("a\n", "b\n"):
        append_output(path, text)
    assert path.read_text() == "a\nb\n"


def test_addition_that_does_not_fit_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    path.write_text("before")
    source = (
        "import pathlib, resource, signal, sys\n"
        "from vc2doctor.core.writing import OutputError, append_output\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    append_output(pathlib.Path(sys.argv[1]), 'x' * 5000)\n"
        "except OutputError as error:\n    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", source, str(path)], capture_output=True, text=True, check=True)
    assert "summary: cannot be written: File too large" in ran.stdout
    assert path.read_text() == "before"
