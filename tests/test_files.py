"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.files import OutputError, replace, replace_all


def test_new(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    replace(path, "é\n")
    assert path.read_text(encoding="utf-8") == "é\n"
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_old_one_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    path.chmod(0o600)
    replace(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        replace(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere/report\.json: cannot be written: No such file"):
        replace(tmp_path / "nowhere" / "report.json", "x")


def test_of_several_all_are_written_or_none(tmp_path: Path) -> None:
    paths = [tmp_path / "a.py", tmp_path / "gone" / "b.py"]
    paths[0].write_text("old")
    with pytest.raises(OutputError, match=r"b\.py: cannot be written"):
        replace_all(dict.fromkeys(paths, b"new"))
    assert paths[0].read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.py"]
    paths[1].parent.mkdir()
    replace_all(dict.fromkeys(paths, b"new"))
    assert [path.read_bytes() for path in paths] == [b"new", b"new"]
