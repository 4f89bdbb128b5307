"""Read the Python sources of a remote wheel by HTTP ranges, so that a wheel of a gigabyte costs a few megabytes."""

import io
import urllib.request
import zipfile
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path

TAIL = 1 << 18
"""Bytes at the end of a wheel that are read first: they hold its table of contents, except for the largest wheels."""
MAX_GAP = 1 << 17
"""Bytes between two wanted files that are read along: a request costs more than they do."""
SOURCES = (".py", ".pyi", ".dist-info/METADATA")
"""Endings of the files that are kept."""

Fetch = Callable[[int, int], bytes]
"""Returns the bytes of a file from one offset up to another one."""


class SparseFile(io.RawIOBase):
    """A file of which only some ranges are known; reading fetches what is missing."""

    def __init__(self, size: int, fetch: Fetch) -> None:
        """Represent a file of ``size`` bytes that ``fetch`` reads from."""
        self._size = size
        self._fetch = fetch
        self._position = 0
        self._parts: list[tuple[int, bytes]] = []

    def load(self, start: int, stop: int) -> None:
        """Fetch the bytes from ``start`` up to ``stop`` unless they are known; the ranges loaded before are kept."""
        if not any(begin <= start and stop <= begin + len(part) for begin, part in self._parts):
            self._parts.append((start, self._fetch(start, stop)))

    def seekable(self) -> bool:
        """Return ``True``: a wheel is read from its end."""
        return True

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to ``offset`` bytes from the start, the position or the end, and return the new position."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes from the position on; all that follow if it is negative."""
        stop = self._size if size < 0 else min(self._position + size, self._size)
        start, self._position = self._position, stop
        if stop <= start:
            return b""
        self.load(start, stop)
        begin, part = next((begin, part) for begin, part in self._parts if begin <= start and stop <= begin + len(part))
        return part[start - begin : stop - begin]


def save_sources(url: str, size: int, path: Path, timeout: float) -> None:
    """Write the Python sources and the metadata of the wheel at ``url`` (``size`` bytes) to ``path``, as a zip file.

    Raises:
        OSError: the file cannot be read.
        zipfile.BadZipFile: it is not a wheel.
    """
    remote = SparseFile(size, lambda start, stop: _read_range(url, start, stop, timeout))
    remote.load(max(0, size - TAIL), size)
    with zipfile.ZipFile(remote) as wheel, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as sources:
        entries = sorted(wheel.infolist(), key=lambda entry: entry.header_offset)
        for start, stop in _joined(_spans(entries, size)):
            remote.load(start, stop)
        for entry in entries:
            if entry.filename.endswith(SOURCES):
                sources.writestr(entry.filename, wheel.read(entry))


def _spans(entries: list[zipfile.ZipInfo], size: int) -> Iterable[tuple[int, int]]:
    """Yield where each wanted file begins, and where the next file begins, in bytes."""
    starts = [*(entry.header_offset for entry in entries), size]
    for entry, stop in zip(entries, starts[1:], strict=True):
        if entry.filename.endswith(SOURCES):
            yield entry.header_offset, stop


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ``spans`` in order, with those joined that lie close to each other."""
    joined: list[tuple[int, int]] = []
    for start, stop in spans:
        if joined and start - joined[-1][1] <= MAX_GAP:
            joined[-1] = joined[-1][0], stop
        else:
            joined.append((start, stop))
    return joined


def _read_range(url: str, start: int, stop: int, timeout: float) -> bytes:
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-{stop - 1}"})  # noqa: S310 - the index gave it
    with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310
        content: bytes = response.read()
    # A server that does not know ranges answers with the whole file.
    return content[start:stop] if response.status != HTTPStatus.PARTIAL_CONTENT else content
