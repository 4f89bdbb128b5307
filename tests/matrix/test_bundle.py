"""Bundles of a matrix: what was written is read again, and every damage or attack is refused."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from vc2doctor.core import reading
from vc2doctor.matrix import bundle, load
from vc2doctor.matrix.errors import MatrixError

Doctor = Callable[..., Ran]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "matrix.zip"
    bundle.write(load.shipped(), path, "2026-11-28")
    return path


def test_bundle_is_the_matrix_and_equal_matrices_make_equal_bundles(good: Path, tmp_path: Path) -> None:
    assert load.load(good) == load.load(load.shipped())
    again = bundle.write(load.shipped(), tmp_path / "again.zip", "2026-11-28")
    assert (tmp_path / "again.zip").read_bytes() == good.read_bytes()
    assert bundle.read(good)[0].digest == again.digest


def test_command_writes_a_bundle_that_other_commands_use(doctor: Doctor, tmp_path: Path) -> None:
    path = str(tmp_path / "m.zip")
    written = doctor("matrix", "bundle", path)
    assert (written.code, written.err) == (0, "")
    assert "digest " in written.out
    words = ("torch==2.13.0", "transformers==5.23.0", "peft==0.21.2")
    explained = doctor("matrix", "explain", *words, "--matrix", path)
    assert explained.code == 0, explained.err
    assert explained.out == doctor("matrix", "explain", *words).out


def rewritten(good: Path, path: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> Path:
    """Write a bundle with changed entries, and its manifest as it was unless that is changed as well."""
    with zipfile.ZipFile(good) as archive:
        contents = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in change(contents).items():
            archive.writestr(name, data)
    return path


def _listed(contents: dict[str, bytes], name: str, data: bytes) -> dict[str, bytes]:
    """Add an entry whose digest the manifest names, as an attacker would."""
    manifest = json.loads(contents[bundle.MANIFEST])
    manifest["files"][name] = bundle._sha256(data)
    return {**contents, bundle.MANIFEST: json.dumps(manifest).encode(), name: data}


def _without(contents: dict[str, bytes], name: str) -> dict[str, bytes]:
    manifest = json.loads(contents[bundle.MANIFEST])
    del manifest["files"][name]
    left = {key: data for key, data in contents.items() if key != name}
    return {**left, bundle.MANIFEST: json.dumps(manifest).encode()}


CHANGES: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "changed": (lambda old: {**old, "verdicts.json": b"{}"}, "the digest of verdicts.json is not the one"),
    "missing": (lambda old: {k: v for k, v in old.items() if k != "releases.json"}, "is missing in the archive"),
    "not listed": (lambda old: {**old, "evidence/more.jsonl": b""}, "is missing in its manifest"),
    "no manifest": (lambda old: {k: v for k, v in old.items() if k != bundle.MANIFEST}, "it has no MANIFEST.json"),
    "bad manifest": (lambda old: {**old, bundle.MANIFEST: b"[1]"}, "its MANIFEST.json is not one of a matrix"),
    "parent": (lambda old: _listed(old, "../../evil.toml", b"x"), "is no file of a matrix"),
    "parent below": (lambda old: _listed(old, "profiles/../../evil.toml", b"x"), "is no file of a matrix"),
    "absolute": (lambda old: _listed(old, "/evil.toml", b"x"), "is no file of a matrix"),
    "backslash": (lambda old: _listed(old, "profiles\\..\\evil.toml", b"x"), "is no file of a matrix"),
    "code": (lambda old: _listed(old, "profiles/evil.py", b"x"), "is no file of a matrix"),
    "bomb": (
        lambda old: _listed(old, "evidence/zeros.jsonl", b"\0" * (bundle.MAX_UNPACKED_BYTES + 1)),
        "it unpacks to more than 256 MiB",
    ),
    "many": (lambda old: {**old, **{f"evidence/{n}.jsonl": b"" for n in range(bundle.MAX_ENTRIES)}}, "entries; a"),
    "wrong content": (lambda old: _listed(old, "profiles/evil.toml", b"= 1"), "not TOML"),
    "stale": (
        lambda old: _listed(old, "evidence/more.jsonl", b"\n"),
        "its verdicts are missing, damaged, or of other files",
    ),
    "no verdicts": (lambda old: _without(old, "verdicts.json"), "its verdicts are missing, damaged"),
    "bad verdicts": (lambda old: _listed(old, "verdicts.json", b"[" * 9999), "its verdicts are missing, damaged"),
    "large file": (
        lambda old: _listed(old, "evidence/more.jsonl", b" " * (reading.MAX_BYTES + 1)),
        "bad.zip/evidence/more.jsonl: cannot be read: it is larger than 64 MiB",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_bundle_is_refused(good: Path, tmp_path: Path, name: str) -> None:
    change, message = CHANGES[name]
    path = rewritten(good, tmp_path / "bad.zip", change)
    with pytest.raises(MatrixError) as raised:
        load.load(path)
    assert message in str(raised.value)
    assert str(path) in str(raised.value)
    assert raised.value.exit_code == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["bad.zip"]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not an archive", b"\x1f\x8b" + b"\0" * 100])
def test_file_that_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "matrix.zip").write_bytes(data)
    with pytest.raises(bundle.BundleError, match="not a matrix that can be used"):
        load.load(tmp_path / "matrix.zip")


def test_encrypted_entry_is_named(good: Path, tmp_path: Path) -> None:
    data = bytearray(good.read_bytes())
    for head, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(head) + flags] |= 1
    (tmp_path / "m.zip").write_bytes(data)
    with pytest.raises(bundle.BundleError, match=r"its entry 'MANIFEST.json' is encrypted\. Copy the bundle again"):
        bundle.read(tmp_path / "m.zip")


def test_bundle_that_was_cut_or_changed_at_any_place_is_refused_or_the_same(good: Path, tmp_path: Path) -> None:
    data, expected = good.read_bytes(), bundle.read(good)
    path = tmp_path / "cut.zip"
    for place in range(0, len(data), len(data) // 60):
        path.write_bytes(data[:place])
        with pytest.raises(bundle.BundleError):
            bundle.read(path)
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        with contextlib.suppress(bundle.BundleError):
            assert bundle.read(path) == expected


def test_matrix_that_is_stale_is_not_bundled(doctor: Doctor, tmp_path: Path) -> None:
    folder = shutil.copytree(load.shipped(), tmp_path / "own")
    with (folder / "evidence" / "cells.jsonl").open("a") as file:
        file.write("\n")
    ran = doctor("matrix", "bundle", str(tmp_path / "m.zip"), "--matrix", str(folder))
    assert (ran.code, ran.out) == (2, "")
    assert not (tmp_path / "m.zip").exists()


def test_bundle_goes_through_a_pipe_and_replaces_no_device(tmp_path: Path) -> None:
    command = f"{sys.executable} -m vc2doctor matrix bundle /dev/fd/3 3>&1 >&2 | cat > {tmp_path}/piped.zip"
    ran = subprocess.run(
        ["/bin/sh", "-c", command],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "digest " in ran.stderr, ran.stderr
    assert load.load(tmp_path / "piped.zip") == load.load(load.shipped())
