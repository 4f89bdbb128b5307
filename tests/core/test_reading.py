"""Files are read through one module, and only regular files up to a limit."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vc2doctor.core import reading
from vc2doctor.core.reading import LargeFileError, MissingFileError, ReadError

ROOT = Path(__file__).parents[2] / "vc2doctor"
READERS = {"open", "read_text", "read_bytes"}
WRITERS = {"write_text", "write_bytes"}
PARSERS = {("json", "loads"), ("json", "load"), ("tomllib", "loads"), ("tomllib", "load")}
PARSERS |= {("yaml", name) for name in ("load", "safe_load", "compose", "compose_all", "load_all", "safe_load_all")}
ALLOWED = {
    "core/reading.py": {"open", "read_bytes", "read_text"},
    "core/parsing.py": {"loads"},
    "core/yaml_parsing.py": {"compose"},
    "core/writing.py": {"open"},
    "core/streams.py": {"open"},
    # The events of a child, under a limit of their own, and what the kernel says of control groups.
    "core/listener.py": {"loads"},
    "core/memory.py": {"read_text"},
    # Started by path, before anything of the doctor is imported: /proc, folders, and locks of the doctor's own.
    "core/janitor.py": {"open"},
    "core/store.py": {"open"},  # files of the doctor's own, checked by their descriptors
    "core/scratch.py": {"open", "write_bytes"},
    "cli/first_screen.py": {"write_text"},  # click's formatter of help; no file
    "matrix/bundle.py": {"open"},  # an entry of an archive in memory, under a limit of its own
    "core/turns.py": ("open",),  # locks; the results in them are read and written as all others are
    "core/supervisor.py": {"open"},
    # A scratch folder of the doctor's own.
    "probe/run.py": {"write_text"},
    "commands/verify_remedy.py": {"write_text"},
    # A page of the package index, for maintainers.
    "curate/wheels/index.py": {"load"},
}
"""Files that call the functions themselves, and why."""


def test_text_and_bytes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbf\xc3\xa9\n")
    assert reading.read_text(path) == "é\n"
    assert reading.read_bytes(str(path)) == path.read_bytes()
    assert reading.read_start(path, 3) == b"\xef\xbb\xbf"
    (tmp_path / "link").symlink_to(path)
    assert reading.read_text(tmp_path / "link") == "é\n"


def test_file_of_proc_without_a_size_is_read() -> None:
    assert reading.read_bytes("/proc/self/environ").count(b"\0") > 1


def test_missing_file_has_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="gone: cannot be read: there is no such file"):
        reading.read_text(tmp_path / "gone")
    assert reading.text_or_empty(tmp_path / "gone") == ""


def test_file_over_the_limit_is_refused_and_its_start_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 5000)
    assert len(reading.read_bytes(path, 5000)) == 5000
    with pytest.raises(LargeFileError, match="it is larger than 4 KiB"):
        reading.read_bytes(path, 4096)
    assert reading.text_or_empty(path, 4096) == ""


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_pipe, "it is a pipe, not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a regular file"),
        (lambda path: path.mkdir(), "it is a folder, not a regular file"),
        (make_socket, "No such device or address"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: path.write_bytes(b"\xff"), "it is not UTF-8 text (byte 0)"),
    ],
)
def test_everything_else_is_an_error_at_once(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    path = tmp_path / "x"
    make(path)
    with pytest.raises(ReadError) as caught:
        reading.read_text(path)
    assert str(caught.value) == f"{path}: cannot be read: {reason}"


def test_pipe_that_the_user_named_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    # The program opens the pipe later than the reader, and writes in two parts.
    script = f"sleep 0.3; exec > {path}; printf 'a\\n'; sleep 0.3; printf 'b\\n'"
    with subprocess.Popen(["/bin/sh", "-c", script]):
        assert reading.read_text_or_pipe(path) == "a\nb\n"


def test_pipe_of_a_shell_is_read() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "echo a"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert reading.read_text_or_pipe(f"/dev/fd/{process.stdout.fileno()}") == "a\n"


def test_pipe_without_an_end_is_an_error_after_a_time(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ReadError, match="it is a pipe, and no program ended it within 0 s"):
        reading.read_text_or_pipe(path, seconds=0.2)
    with subprocess.Popen(["/bin/sh", "-c", f"while sleep 0.05; do echo a; done > {path}"]) as process:
        with pytest.raises(ReadError, match="no program ended it"):
            reading.read_text_or_pipe(path, seconds=0.5)
        process.kill()


def test_pipe_with_too_much_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with subprocess.Popen(["/bin/sh", "-c", f"yes > {path} 2>&1"]), pytest.raises(LargeFileError, match="than 4 KiB"):
        reading.read_text_or_pipe(path, 4096)


def test_named_file_is_read_as_any_other(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("é\n", encoding="utf-8")
    assert reading.read_text_or_pipe(path) == "é\n"
    with pytest.raises(LargeFileError):
        reading.read_text_or_pipe(path, 2)
    with pytest.raises(ReadError, match="it is a device, not a regular file"):
        reading.read_text_or_pipe("/dev/zero")


def test_paths_that_no_system_has_are_errors() -> None:
    for path in ("a\0b", "x" * 5000):
        with pytest.raises(ReadError):
            reading.read_bytes(path)


def test_no_module_reads_writes_or_parses_files_by_itself() -> None:
    wrong = [
        f"{name}:{line}: {function}"
        for path in sorted(ROOT.rglob("*.py"))
        if not (name := path.relative_to(ROOT).as_posix()).startswith("target/")
        for line, function in direct_calls(ast.parse(path.read_text(encoding="utf-8")))
        if function not in ALLOWED.get(name, ())
    ]
    assert wrong == []


def test_a_direct_call_is_seen() -> None:
    calls = ["open('x')", "path.open()", "path.read_text()", "os.open('x')", "json.loads(x)", "path.write_text('')"]
    source = "\n".join([*calls, "reading.read_text(x)"])
    assert [line for line, _ in direct_calls(ast.parse(source))] == [1, 2, 3, 4, 5, 6]


def direct_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of each call that reads, writes or parses a file without the modules for that."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="open")):
                yield node.lineno, "open"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="reading"))):
                continue
            case ast.Call(func=ast.Attribute(attr=name)) if name in READERS | WRITERS:
                yield node.lineno, name
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name)) if (module, name) in PARSERS:
                yield node.lineno, name
