"""AE. Bundles of a matrix that are damaged or hostile: `--matrix FILE` refuses them, and unpacks nothing elsewhere."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from functools import lru_cache
from typing import TYPE_CHECKING

from tests.faults.model import Command, Expected, Row, row
from vc2doctor.matrix import bundle, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.faults.scene import Scene

_EXPLAIN = ("matrix", "explain", "torch==2.13.0", "transformers==4.40.1", "peft==0.10.0", "--matrix", "m.zip")
_MIB = 1024 * 1024


@lru_cache(maxsize=1)
def _shipped() -> dict[str, bytes]:
    """Return the files of the shipped matrix that a bundle has, by name."""
    folder = load.shipped()
    files = (path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: path.read_bytes() for name, path in named.items() if bundle._ENTRY.fullmatch(name)}


def _zip(
    changes: Mapping[str, bytes | None],
    *,
    unlisted: Mapping[str, bytes] | None = None,
    link: str | None = None,
    compression: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    """Return a bundle of the shipped matrix with these changes; ``None`` leaves a file out."""
    contents = {name: data for name, data in {**_shipped(), **changes}.items() if data is not None}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    manifest = bundle.Manifest(measured="2026-11-28", files=digests)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in (*{bundle.MANIFEST: manifest.data, **contents}.items(), *(unlisted or {}).items()):
            archive.writestr(name, data)
        if link is not None:
            archive.writestr(_link(link), "/etc/passwd")
    return buffer.getvalue()


def _link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def _encrypted() -> bytes:
    data = bytearray(_zip({}))
    for head, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(head) + flags] |= 1
    return bytes(data)


def _changed(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


def _of_many_entries() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(200_000):
            archive.writestr(f"profiles/a{number}.toml", b"")
    return buffer.getvalue()


_COPY = "Copy the bundle again"
_BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "that_leads_outside": (lambda: _zip({}, unlisted={"../../evil.toml": b""}), "no file of a matrix"),
    "with_a_full_path": (lambda: _zip({}, unlisted={"/evil.toml": b""}), "no file of a matrix"),
    "with_a_link": (lambda: _zip({}, link="profiles/evil.toml"), "missing in its manifest"),
    "that_expands_to_300_MiB": (lambda: _zip({"evidence/x.jsonl": b"\0" * 300 * _MIB}), "more than 256 MiB"),
    "with_a_file_of_65_MiB": (
        lambda: _zip({"evidence/x.jsonl": b" " * 65 * _MIB}),
        "m.zip/evidence/x.jsonl: cannot be read: it is larger than 64 MiB",
    ),
    "with_deep_verdicts": (lambda: _zip({"verdicts.json": b"[" * _MIB}), _COPY),
    "without_verdicts": (lambda: _zip({"verdicts.json": None}), _COPY),
    "with_a_profile_that_is_no_TOML": (lambda: _zip({"profiles/evil.toml": b"= 1"}), "m.zip/profiles/evil.toml"),
    "that_is_encrypted": (_encrypted, "is encrypted"),
    "that_is_cut_off": (lambda: _zip({})[:-100], _COPY),
    "with_one_changed_byte": (lambda: _changed(_zip({})), _COPY),
    "of_200_000_entries": (_of_many_entries, "200,000 entries"),
    "that_is_empty": (lambda: b"", _COPY),
    "that_is_another_file": (lambda: b"#!/bin/sh\n" * 100_000, _COPY),
}


def _bad(name: str) -> Row:
    content, says = _BAD[name]

    def plan(scene: Scene) -> Command:
        scene.file("m.zip", content())
        return Command(_EXPLAIN)

    expected = Expected((2,), ("m.zip", says), ("/vc2doctor-", "matrix compile"))
    sentence = f"A bundle {name.replace('_', ' ')}."
    return Row("AE", f"bundle_{name}", sentence, plan, expected, in_suite=name == "that_leads_outside")


BAD = tuple(map(_bad, _BAD))


@row("AE", 0, says="verified")
def bundle_with_another_compression(scene: Scene) -> Command:
    """A bundle was packed again by another program, with another compression and a comment of 60 kB: it is used."""
    data = _zip({}, compression=zipfile.ZIP_LZMA)
    scene.file("m.zip", data[:-2] + (60_000).to_bytes(2, "little") + b"x" * 60_000)
    return Command(_EXPLAIN)


@row("AE", 2, says="m.zip: cannot be read: it is a pipe")
def bundle_that_blocks(scene: Scene) -> Command:
    """The bundle is a pipe that no program writes to."""
    scene.fifo("m.zip")
    return Command(_EXPLAIN)


@row("AE", 2, says="m.zip: cannot be read: it is a device")
def bundle_without_an_end(scene: Scene) -> Command:
    """The bundle is a link to an endless device."""
    scene.link("m.zip", "/dev/zero")
    return Command(_EXPLAIN)


@row("AE", 2, says="m.zip: cannot be written")
def bundle_on_a_full_disk(scene: Scene) -> Command:
    """A bundle is written to a file system that is full: the old one stays as it was."""
    scene.file("m.zip", "old")
    return Command(("matrix", "bundle", "m.zip"), script='ulimit -f 100; exec "$@"')
