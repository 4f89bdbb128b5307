"""What a command and its children change and connect to, as strace sees it: every call of the kernel that can do so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

_OPENING = ("open", "openat", "openat2", "creat")
_CHANGING = (
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir"),
    *("mkdir", "mkdirat", "mknod", "mknodat", "truncate", "chmod", "fchmodat", "fchmodat2", "chown", "lchown"),
    *("fchownat", "utime", "utimes", "utimensat", "futimesat", "setxattr", "lsetxattr", "removexattr", "lremovexattr"),
    *("mount", "umount2"),
)
_CONNECTING = ("connect", "bind", "sendto", "sendmsg", "sendmmsg")
# The question mark allows names that this kind of processor does not have.
_TRACED = ",".join(f"?{name}" for name in (*_OPENING, *_CHANGING, *_CONNECTING))
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>.*)", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>")
_OPENED = re.compile(r"\d+<(?P<path>.*)>$")
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<folder>[^>]*)>, )?"(?P<path>(?:[^"\\]|\\.)*)"')
_WORKING_DIRECTORY = re.compile(r"AT_FDCWD<([^>]*)>")
_FOR_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
_FAMILY = re.compile(r"sa_family=(AF_\w+)")
_ADDRESS = re.compile(r'inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"')
_LOCAL_FAMILIES = frozenset({"AF_UNIX", "AF_NETLINK"})
"""AF_NETLINK asks the kernel of this machine."""
_SEMAPHORE = "/dev/shm/sem."  # noqa: S108 - where Linux keeps semaphores, in memory
_LOOPBACK = re.compile(r"127\.[\d.]+|::1|::ffff:127\.[\d.]+")

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


class _Call(NamedTuple):
    """One call of the kernel, as text."""

    process: str
    name: str
    arguments: str
    result: str


class Trace(NamedTuple):
    """What a run did."""

    code: int
    output: str
    changed: frozenset[str]
    """The full paths of the files and folders that were opened for writing, made, moved or removed."""
    addresses: frozenset[str]
    """What was connected to or listened on: an address of the internet protocols, or the name of another family.
    Sockets of this machine (AF_UNIX, AF_NETLINK) are left out."""

    def changed_outside(self, *folders: Path) -> list[str]:
        """Return the changed files that are not in ``folders``.

        The null device is left out, and so are semaphores of Python's multiprocessing that are gone.
        """
        roots = [os.path.realpath(folder) for folder in folders]
        return sorted(
            path
            for path in self.changed
            if path != os.devnull
            and not (path.startswith(_SEMAPHORE) and not Path(path).exists())
            and not any(path == root or path.startswith(f"{root}/") for root in roots)
        )

    @property
    def foreign_addresses(self) -> list[str]:
        """The addresses that are not of the loopback interface."""
        return sorted(address for address in self.addresses if not _LOOPBACK.fullmatch(address))


def trace(words: Sequence[str], file: Path, folder: Path, variables: Mapping[str, str]) -> Trace:
    """Run a command in a folder with these environment variables; strace writes to ``file``."""
    # --seccomp-bpf stops the children only at the calls that are asked for, so the run is hardly slower.
    options = ("-f", "-qq", "-y", "--seccomp-bpf", "-s", "4096", "-e", f"trace={_TRACED}", "-e", "signal=none")
    done = subprocess.run(
        ["strace", *options, "-o", str(file), *words],  # noqa: S607 - found on PATH
        cwd=folder,
        env=dict(variables),
        capture_output=True,
        text=True,
        check=False,
    )
    changed, addresses = parse(file.read_text(encoding="utf-8", errors="surrogateescape"))
    return Trace(done.returncode, f"{done.stdout}\n{done.stderr}", changed, addresses)


def parse(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the changed files and the addresses of the calls in the output of strace."""
    changed: set[str] = set()
    addresses: set[str] = set()
    folders: dict[str, str] = {}
    for call in _calls(text):
        # Calls without a descriptor of a folder say nothing of the working directory; the others of a process do.
        if (match := _WORKING_DIRECTORY.search(call.arguments)) is not None:
            folders[call.process] = match[1]
        if call.name in _CONNECTING:
            addresses.update(_addresses(call.arguments))
        elif not call.result.startswith("-1"):
            changed.update(_changed(call, folders.get(call.process, "(unknown)")))
    return frozenset(changed), frozenset(addresses)


def _calls(text: str) -> Iterator[_Call]:
    """Yield the calls; the two parts of one that was interrupted are joined."""
    begun: dict[str, str] = {}
    for line in text.splitlines():
        process, _, words = line.partition(" ")
        words = words.lstrip()
        if words.endswith(_UNFINISHED):
            begun[process] = words.removesuffix(_UNFINISHED)
            continue
        if (resumed := _RESUMED.match(words)) is not None:
            words = begun.pop(process, "") + words[resumed.end() :]
        if (match := _CALL.fullmatch(words)) is not None:
            yield _Call(process, match["name"], match["arguments"], match["result"])


def _changed(call: _Call, working_directory: str) -> Iterator[str]:
    if call.name in _OPENING:
        opened = _OPENED.match(call.result)
        if opened is not None and (call.name == "creat" or _FOR_WRITING.search(call.arguments)):
            yield opened["path"].removesuffix("(deleted)")
    elif call.name in _CHANGING:
        found = _PATH.finditer(call.arguments)
        paths = [os.path.normpath(os.path.join(match["folder"] or working_directory, match["path"])) for match in found]  # noqa: PTH118 - only text
        # A move changes both of its paths, a link only the new one.
        yield from paths if call.name.startswith("rename") else paths[-1:] if "link" in call.name else paths[:1]


def _addresses(arguments: str) -> Iterator[str]:
    for family in _FAMILY.findall(arguments):
        if family not in _LOCAL_FAMILIES:
            yield from _ADDRESS.findall(arguments) or [family]
