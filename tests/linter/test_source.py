"""Whatever is in a file, the linter says a note at most."""

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
from vc2doctor.linter.read.module import module_of
from vc2doctor.linter.read.source import UnreadableError, decode, encoding_of, read
from vc2doctor.linter.run import LintTask, judge

TRAINS = (
    "import torch\n\n\ndef train(model, batch):\n    with torch.cuda.amp.autocast():\n        model(batch).backward()\n"
)


def notes(folder: Path) -> list[tuple[str, str, int]]:
    judged = judge(LintTask(paths=(folder,)))
    return [(one.id, one.path or "", one.line or 0) for one in judged.findings if one.id in ("VC100", "VC102")]


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
def test_what_cannot_be_read_is_a_note_and_the_rest_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(HOSTILE[name], encoding="utf-8")
    (tmp_path / "train.py").write_text(TRAINS, encoding="utf-8")
    found = notes(tmp_path)
    assert ("VC102", "train.py", 5) in found
    assert [path for id_, path, _ in found if id_ == "VC100"] in ([name], [])
    with_reason = [one for one in judge(LintTask(paths=(tmp_path,))).findings if one.id == "VC100"]
    assert all(one.severity.value == "note" and len(one.message) > len("not read: ") for one in with_reason)


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + TRAINS.encode(),
        b"# -*- coding: latin-1 -*-\n# caf\xe9\n" + TRAINS.encode(),
        b"# caf\xe9, and no coding line\n" + TRAINS.encode(),
        TRAINS.replace("\n", "\r\n").encode(),
        TRAINS.replace("\n", "\r").encode(),
    ],
    ids=["BOM", "latin-1", "undeclared latin-1", "CRLF", "CR"],
)
def test_encodings_and_line_ends_are_read(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_bytes(data)
    assert [id_ for id_, _, _ in notes(tmp_path)] == ["VC102"]


def test_a_fix_keeps_the_encoding_and_the_line_ends(tmp_path: Path) -> None:
    from vc2doctor.linter.fix.transaction import fix  # noqa: PLC0415 - where it is needed

    text = TRAINS.replace("import torch", "# café\nfrom torch.cuda.amp import GradScaler\nimport torch").replace(
        "\n", "\r\n"
    )
    (tmp_path / "train.py").write_bytes(b"\xef\xbb\xbf" + text.encode())
    request = LintTask(paths=(tmp_path,))
    done, _ = fix(request, judge(request), unsafe=False, write=True)
    assert done.written
    after = (tmp_path / "train.py").read_bytes()
    assert after == b"\xef\xbb\xbf" + text.replace("from torch.cuda.amp import GradScaler\r\n", "").encode()


def test_a_notebook_is_read_by_cells(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# autocast"]},
        {
            "cell_type": "code",
            "source": ["%matplotlib inline\n", "!pip install \\\n", "  torch\n", "import torch\n", "model?"],
        },
        {"cell_type": "code", "source": "%%bash\nls autocast\n"},
        {"cell_type": "code", "source": TRAINS},
    ]
    (tmp_path / "train.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert notes(tmp_path) == [("VC102", "train.ipynb#cell3", 5)]


def test_loops_of_links_end_and_a_file_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text(TRAINS, encoding="utf-8")
    (tmp_path / "code" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "code" / "dangling.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "train.py").symlink_to(tmp_path / "code" / "train.py")
    assert len(notes(tmp_path)) == 1


def test_what_git_ignores_is_left_out_unless_it_is_tracked_or_imported(tmp_path: Path) -> None:
    for name in ("ignored/train.py", "scratch.py", "tracked.py", "used.py", "main.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(TRAINS, encoding="utf-8")
    (tmp_path / "main.py").write_text("from used import train\n" + TRAINS, encoding="utf-8")
    (tmp_path / ".gitignore").write_text("ignored/\nscratch.py\ntracked.py\nused.py\n", encoding="utf-8")
    found = {path for _, path, _ in notes(tmp_path)}
    assert found == {"main.py", "used.py"}
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for command in (["init", "-q"], ["add", "-f", "tracked.py"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, env=environment)  # noqa: S607 - git, wherever it is
    assert {path for _, path, _ in notes(tmp_path)} == {"main.py", "used.py", "tracked.py"}


def test_an_ignored_folder_that_is_named_is_read(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*\n", encoding="utf-8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.py").write_text(TRAINS, encoding="utf-8")
    assert [path for _, path, _ in notes(tmp_path / "mine")] == ["train.py"]


def test_vendored_trees_and_environments_are_not_read(tmp_path: Path) -> None:
    for folder in ("third_party", "mmcv", ".venv", "lib/site-packages", "node_modules"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "train.py").write_text(TRAINS, encoding="utf-8")
    (tmp_path / "main.py").write_text("import torch\n", encoding="utf-8")
    assert notes(tmp_path) == []
    assert [path for _, path, _ in notes(tmp_path / "mmcv" / "train.py")] == ["train.py"]


def test_names_that_are_no_text_are_told_as_far_as_they_can_be(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/tr\xe9in.py")).write_text(TRAINS, encoding="utf-8")
    except OSError:
        pytest.skip("this file system takes text only")
    for form in ("text", "json"):
        ran = doctor("lint", "--format", form, "--fail-on", "warning", cwd=tmp_path)
        assert ran.code == 1
        assert "in.py" in ran.out


def test_a_link_to_a_file_elsewhere_is_read(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    (tmp_path / "there" / "real.py").write_text(TRAINS, encoding="utf-8")
    (tmp_path / "here" / "train.py").symlink_to(tmp_path / "there" / "real.py")
    assert [path for _, path, _ in notes(tmp_path / "here" / "train.py")] == ["train.py"]


def test_a_vocabulary_is_no_configuration(tmp_path: Path) -> None:
    words = {f"fp16_{number}": number for number in range(30_000)}
    (tmp_path / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    (tmp_path / "train.py").write_text(TRAINS, encoding="utf-8")
    assert not judge(LintTask(paths=(tmp_path,))).facts.code.files.configs


def test_nothing_is_imported_or_run(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{TRAINS}", encoding="utf-8")
    (tmp_path / "config.py").write_text(f"fp16 = True\nopen({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    notes(tmp_path)
    assert not (tmp_path / "ran").exists()


@given(st.binary(max_size=200))
def test_any_bytes_decode(data: bytes) -> None:
    assert decode(data).encode(encoding_of(data)) == data or encoding_of(data) == "utf-8-sig"


@given(st.text(max_size=300))
def test_any_text_is_read_or_told(text: str) -> None:
    try:
        source = read("any.py", text.encode(errors="surrogatepass"))
    except UnreadableError:
        return
    assert isinstance(module_of(source).source.tree, ast.Module)
