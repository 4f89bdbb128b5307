"""Files are found and read, whatever is in them: a file that cannot be read is a note."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Ran
from tests.linter.test_programs import git
from vc2doctor.linter.fix.transaction import fix
from vc2doctor.linter.read.gitignore import GitIgnore
from vc2doctor.linter.read.module import module_of
from vc2doctor.linter.read.source import UnreadableError, decode, encoding_of, read_source
from vc2doctor.linter.run import LintTask, apply_rules

TRAINING_CODE = (
    "import torch\n\n\ndef train(model, batch):\n    with torch.cuda.amp.autocast():\n        model(batch).backward()\n"
)
"""VC102 reports its fifth line."""


def reported(path: Path) -> list[tuple[str, str, int]]:
    """Return the unread files (VC100) and the autocasts without dtype (VC102) below a path."""
    findings = apply_rules(LintTask(paths=(path,))).findings
    return [
        (finding.id, finding.path or "", finding.line or 0) for finding in findings if finding.id in ("VC100", "VC102")
    ]


def write_training_code(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TRAINING_CODE, encoding="utf-8")


HOSTILE = {
    "python2.py": "print 'autocast'\n",
    "broken.py": "def autocast(:\n",
    "parentheses.py": f"autocast = {'(' * 5000}1{')' * 5000}\n",
    "minus.py": f"autocast = {'-' * 100_000}1\n",
    "chain.py": f"autocast = a{'.b' * 50_000}\n",
    "elif.py": "if a:\n    autocast()\n" + "elif b:\n    pass\n" * 20_000,
    "indent.py": "\n".join(f"{' ' * depth}if autocast:" for depth in range(150)) + f"\n{' ' * 150}pass\n",
    "nul.py": "autocast = 1\0\n",
    "notebook.ipynb": "{autocast",
    "old.ipynb": json.dumps({"worksheets": ["autocast"]}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_unreadable_file_is_a_note_and_the_others_are_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(HOSTILE[name], encoding="utf-8")
    write_training_code(tmp_path, "train.py")
    places = reported(tmp_path)
    assert ("VC102", "train.py", 5) in places
    # Newer Pythons can parse some of these files.
    assert [path for id_, path, _ in places if id_ == "VC100"] in ([name], [])
    unread = [finding for finding in apply_rules(LintTask(paths=(tmp_path,))).findings if finding.id == "VC100"]
    assert all(finding.severity.value == "note" for finding in unread)
    assert all(len(finding.message) > len("not read: ") for finding in unread)


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + TRAINING_CODE.encode(),
        b"# -*- coding: latin-1 -*-\n# caf\xe9\n" + TRAINING_CODE.encode(),
        b"# caf\xe9, and no coding line\n" + TRAINING_CODE.encode(),
        TRAINING_CODE.replace("\n", "\r\n").encode(),
        TRAINING_CODE.replace("\n", "\r").encode(),
    ],
    ids=["BOM", "latin-1", "undeclared latin-1", "CRLF", "CR"],
)
def test_any_encoding_and_line_end_is_read(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_bytes(data)
    assert [id_ for id_, _, _ in reported(tmp_path)] == ["VC102"]


def test_fix_keeps_the_encoding_and_the_line_ends(tmp_path: Path) -> None:
    unused_import = "from torch.cuda.amp import GradScaler\n"
    text = TRAINING_CODE.replace("import torch", f"# café\n{unused_import}import torch").replace("\n", "\r\n")
    (tmp_path / "train.py").write_bytes(b"\xef\xbb\xbf" + text.encode())
    task = LintTask(paths=(tmp_path,))
    result, _ = fix(task, apply_rules(task), unsafe=False, write=True)
    assert result.written
    fixed = text.replace(unused_import.replace("\n", "\r\n"), "")
    assert (tmp_path / "train.py").read_bytes() == b"\xef\xbb\xbf" + fixed.encode()


def test_notebook_is_read_by_cells(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# autocast"]},
        {
            "cell_type": "code",
            "source": ["%matplotlib inline\n", "!pip install \\\n", "  torch\n", "import torch\n", "model?"],
        },
        {"cell_type": "code", "source": "%%bash\nls autocast\n"},
        {"cell_type": "code", "source": TRAINING_CODE},
    ]
    (tmp_path / "train.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert reported(tmp_path) == [("VC102", "train.ipynb#cell3", 5)]


def test_loops_of_links_end_and_each_file_is_read_once(tmp_path: Path) -> None:
    write_training_code(tmp_path, "code/train.py")
    (tmp_path / "code" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "code" / "dangling.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "train.py").symlink_to(tmp_path / "code" / "train.py")
    assert len(reported(tmp_path)) == 1


def test_ignored_file_is_read_only_if_it_is_tracked_or_imported(tmp_path: Path) -> None:
    write_training_code(tmp_path, "ignored/train.py", "scratch.py", "tracked.py", "used.py")
    (tmp_path / "main.py").write_text("from used import train\n" + TRAINING_CODE, encoding="utf-8")
    (tmp_path / ".gitignore").write_text("ignored/\nscratch.py\ntracked.py\nused.py\n", encoding="utf-8")
    assert {path for _, path, _ in reported(tmp_path)} == {"main.py", "used.py"}
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for command in (["init", "-q"], ["add", "-f", "tracked.py"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, env=environment)  # noqa: S607 - git, wherever it is
    assert {path for _, path, _ in reported(tmp_path)} == {"main.py", "used.py", "tracked.py"}


def test_ignored_folder_on_the_command_line_is_read(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*\n", encoding="utf-8")
    write_training_code(tmp_path, "mine/train.py")
    assert [path for _, path, _ in reported(tmp_path / "mine")] == ["train.py"]


def test_vendored_folders_and_environments_are_read_only_if_a_file_in_them_is_named(tmp_path: Path) -> None:
    folders = ("third_party", "vendor", ".venv", "lib/site-packages", "node_modules")
    write_training_code(tmp_path, *(f"{folder}/train.py" for folder in folders))
    (tmp_path / "main.py").write_text("import torch\n", encoding="utf-8")
    assert reported(tmp_path) == []
    assert [path for _, path, _ in reported(tmp_path / "vendor" / "train.py")] == ["train.py"]


def test_file_name_that_is_not_text_is_printed_with_replacements(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/tr\xe9in.py")).write_text(TRAINING_CODE, encoding="utf-8")
    except OSError:
        pytest.skip("this file system takes text only")
    for report_format in ("text", "json"):
        ran = doctor("lint", "--format", report_format, "--fail-on", "warning", cwd=tmp_path)
        assert ran.code == 1
        assert "in.py" in ran.out


def test_link_to_a_file_outside_of_the_root_is_read(tmp_path: Path) -> None:
    write_training_code(tmp_path, "outside/real.py")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "train.py").symlink_to(tmp_path / "outside" / "real.py")
    assert [path for _, path, _ in reported(tmp_path / "root" / "train.py")] == ["train.py"]


def test_vocabulary_is_no_configuration(tmp_path: Path) -> None:
    vocabulary = {f"fp16_{number}": number for number in range(30_000)}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    write_training_code(tmp_path, "train.py")
    assert not apply_rules(LintTask(paths=(tmp_path,))).facts.code.files.configs


def test_code_that_is_read_never_runs(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    (tmp_path / "train.py").write_text(f"open({str(trace)!r}, 'w')\n{TRAINING_CODE}", encoding="utf-8")
    (tmp_path / "config.py").write_text(f"fp16 = True\nopen({str(trace)!r}, 'w')\n", encoding="utf-8")
    reported(tmp_path)
    assert not trace.exists()


@given(st.binary(max_size=200))
def test_any_bytes_can_be_decoded(data: bytes) -> None:
    assert decode(data).encode(encoding_of(data)) == data or encoding_of(data) == "utf-8-sig"


@given(st.text(max_size=300))
def test_any_text_is_parsed_or_unreadable(text: str) -> None:
    try:
        source = read_source("any.py", text.encode(errors="surrogatepass"))
    except UnreadableError:
        return
    assert isinstance(module_of(source).source.tree, ast.Module)


@pytest.mark.parametrize("state", ["sha256", "linked worktree", "submodule"])
def test_tracked_file_is_never_ignored_in_any_state_of_a_repository(tmp_path: Path, state: str) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", *(["--object-format=sha256"] if state == "sha256" else []))
    (folder / ".gitignore").write_text("train.py\n", encoding="utf-8")
    (folder / "train.py").write_text("x = 1\n", encoding="utf-8")
    git(folder, "add", "-f", ".gitignore", "train.py")
    git(folder, "commit", "-qm", "a commit")
    if state == "linked worktree":
        git(folder, "worktree", "add", "-q", str(tmp_path / "linked"))
        folder = tmp_path / "linked"
    elif state == "submodule":
        outer = tmp_path / "outer"
        outer.mkdir()
        git(outer, "init", "-q")
        git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(folder), "inner")
        folder = outer / "inner"
    assert not GitIgnore(folder).ignores(f"{folder}/train.py")
    assert GitIgnore(folder).ignores(f"{folder}/a/train.py")
