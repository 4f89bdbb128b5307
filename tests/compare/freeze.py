"""Writes what one version of the doctor answers: run as a user runs it, so that any version can be frozen."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tests.linter import corpus

PARTS = ("verdicts", "checks", "lint", "faults")

_STACKS: tuple[tuple[str, dict[str, str]], ...] = (
    ("good", {"torch": "2.13.0+cpu", "transformers": "4.40.1", "peft": "0.10.0"}),
    ("newest", {"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2"}),
    ("known-broken", {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.17.0"}),
    ("numpy", {"torch": "2.1.2", "transformers": "4.40.1", "peft": "0.10.0", "numpy": "2.1.0"}),
    ("accelerate", {"torch": "2.5.1", "transformers": "4.44.2", "peft": "0.15.2", "accelerate": "0.21.0"}),
    ("old", {"torch": "1.13.1", "transformers": "4.40.1", "peft": "0.4.0", "tokenizers": "0.19.1"}),
    ("unmeasured", {"torch": "2.9.9", "transformers": "6.0.0", "peft": "1.0.0"}),
    ("partial", {"torch": "2.13.0"}),
    ("none", {}),
)
_RECIPES = ("fp32", "bf16", "bf16-amp", "fp16-scaled", "fp16-unscaled", "fp16-amp")


def freeze(options: argparse.Namespace) -> None:
    """Write the answers of the version in ``options.doctor`` below ``options.folder``."""
    parts = {"verdicts": _verdicts, "checks": _checks, "lint": _lint, "faults": _faults}
    for name in options.only or PARTS:
        folder: Path = options.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        parts[name](options, folder)


def _run(options: argparse.Namespace, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONHASHSEED": "0", "XDG_CACHE_HOME": os.devnull}
    command = [options.doctor, "-m", "vc2doctor", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def _verdicts(options: argparse.Namespace, folder: Path) -> None:
    """Judge every measured cell under every recipe, and each cell with the releases of the next one."""
    lines = [
        json.loads(line)
        for path in sorted((options.tests / "matrices" / "evidence").glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    cells = [{**line["resolved"], **line["cell"]} for line in lines]
    shifted = [{**cell, "peft": other["peft"]} for cell, other in pairwise(cells)]
    with tempfile.TemporaryDirectory() as scratch:
        asked = Path(scratch, "cells.jsonl")
        asked.write_text("".join(json.dumps(cell) + "\n" for cell in (*cells, *shifted)), encoding="utf-8")
        for recipe in _RECIPES:
            done = _run(options, "matrix", "explain", "--batch", str(asked), "--precision", recipe, cwd=Path(scratch))
            (folder / f"{recipe}.jsonl").write_text(done.stdout, encoding="utf-8")
            (folder / f"{recipe}.code").write_text(f"{done.returncode}\n", encoding="utf-8")


def _checks(options: argparse.Namespace, folder: Path) -> None:
    """Check environments that are written by hand, without a probe."""
    from tests.conftest import make_venv  # noqa: PLC0415

    for name, versions in _STACKS:
        with tempfile.TemporaryDirectory() as scratch:
            venv = make_venv(Path(scratch, "venv"), options.doctor)
            for package, version in versions.items():
                venv.add(package, version)
            for recipe in ("bf16", "fp16-scaled"):
                words = ("check", "--no-probe", "--python", venv.python, "--precision", recipe, "--format", "json")
                done = _run(options, *words, cwd=Path(scratch))
                text = done.stdout.replace(scratch, "/scratch")
                (folder / f"{name}-{recipe}.json").write_text(text, encoding="utf-8")
                (folder / f"{name}-{recipe}.code").write_text(f"{done.returncode}\n", encoding="utf-8")


def _lint(options: argparse.Namespace, folder: Path) -> None:
    """Lint the labelled repositories at their commits: as they are, and with the change to bfloat16 as a patch."""
    for name, commit, git in _commits(options.repositories):
        with tempfile.TemporaryDirectory() as scratch:
            tree = Path(scratch, "tree")
            corpus.write_tree(git, commit, tree)
            stem = f"{name.replace('/', '+')}@{commit[:8]}"
            for kind, words in (("plain", ()), ("fix", ("--precision", "bf16", "--fix", "--diff"))):
                done = _run(options, "lint", "--format", "json", *words, cwd=tree)
                (folder / f"{stem}-{kind}.json").write_text(done.stdout, encoding="utf-8")
                (folder / f"{stem}-{kind}.code").write_text(f"{done.returncode}\n", encoding="utf-8")


def _commits(repositories: Path) -> Iterator[tuple[str, str, Path]]:
    os.environ["VC2DOCTOR_REPOSITORIES"] = str(repositories)
    if not corpus.cases():
        message = f"{corpus.CASES} is missing: there are no labeled places to lint"
        raise FileNotFoundError(message)
    for name, commit in sorted({(case.repository, case.commit) for case in corpus.cases()}):
        git = corpus.git_directory(name)
        if git is not None:
            yield name, commit, git


def _faults(options: argparse.Namespace, folder: Path) -> None:
    """Run the table of planted faults."""
    rows = folder / "rows.jsonl"
    words = ["-m", "tests.probe_truth", "--rows", str(rows), "--torch", "2.13.0", "--python", options.stack]
    done = subprocess.run([options.doctor, *words], cwd=options.tests, capture_output=True, text=True, check=False)
    (folder / "code").write_text(f"{done.returncode}\n", encoding="utf-8")
