"""Every parser of input that others write, as a function of bytes. A new parser is one entry of ``PARSERS``.

A parser may return, or raise ``DoctorError``: everything else is a crash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from vc2doctor.commands import model_config, settings
from vc2doctor.commands.lint import LintRequest, lint
from vc2doctor.core import parsing, patterns, yaml_parsing
from vc2doctor.core.child import ChildRun
from vc2doctor.core.errors import DoctorError
from vc2doctor.environment.interpreter import TargetFacts
from vc2doctor.linter.read.gitignore import GitIgnore, tracked_files
from vc2doctor.linter.read.requirements import requirements_of
from vc2doctor.linter.read.user_config import default_path, read_user_config
from vc2doctor.matrix import load, parse
from vc2doctor.probe.events import EventReader

ROOT = Path(__file__).resolve().parents[2]
_ENTRY_NAME = re.compile(rb'(?m)^(?:id|name) = "([\w-]{1,60})"$', re.ASCII)
MAX_SEED_FILES = 60
"""Real files, or lines of one, that a search starts from."""


class Parser(NamedTuple):
    """One parser. ``modules`` are files of the package whose covered lines tell how far the search came."""

    parse: Callable[[bytes, Path], None]
    """Gets the input and an empty folder to write to."""
    seeds: tuple[str, ...]
    """Real files to start from: globs below the repository. Of JSON Lines, each line is a seed."""
    modules: tuple[str, ...]
    examples: tuple[bytes, ...] = ()
    """Inputs to start from where the repository has no such file."""


def outcome(parser: Parser, data: bytes, folder: Path) -> str:
    """Return ``read`` or ``refused``.

    Raises:
        Exception: whatever else the parser raises, which is a fault of the parser.
    """
    try:
        parser.parse(data, folder)
    except DoctorError:
        return "refused"
    return "read"


def seeds(parser: Parser) -> Iterator[bytes]:
    """Yield the inputs that a search starts from."""
    yield from parser.examples
    for pattern in parser.seeds:
        for path in sorted(ROOT.glob(pattern))[:MAX_SEED_FILES]:
            data = path.read_bytes()
            if path.suffix == ".jsonl":
                yield from data.splitlines()[:MAX_SEED_FILES]
            else:
                yield data


def _lint_as(name: str, beside: str = "") -> Callable[[bytes, Path], None]:
    """Return the parser that lints a folder with the input as its file ``name``."""

    def parse_file(data: bytes, folder: Path) -> None:
        (folder / name).write_bytes(data)
        if beside:
            (folder / "train.py").write_text(beside, encoding="utf-8")
        lint(LintRequest(paths=(folder,)), folder)

    return parse_file


def _settings(data: bytes, folder: Path) -> None:
    (folder / "pyproject.toml").write_bytes(data)
    settings.load(folder)


def _git_ignore(data: bytes, folder: Path) -> None:
    (folder / ".gitignore").write_bytes(data)
    GitIgnore(folder).ignores(f"{folder}/data/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/train.py")


def _git_index(data: bytes, folder: Path) -> None:
    (folder / "index").write_bytes(data)
    tracked_files(folder)


def _requirements(data: bytes, folder: Path) -> None:
    (folder / "requirements.txt").write_bytes(data)
    requirements_of(folder, "")


def _user_config(data: bytes, folder: Path) -> None:
    environment = {"HF_HOME": str(folder)}
    path = default_path(environment)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    read_user_config(environment)


def _words(data: bytes, _: Path) -> None:
    parse.from_words(data.decode("utf-8", "replace").split())


def _query_file(data: bytes, folder: Path) -> None:
    path = folder / "cells.jsonl"
    path.write_bytes(data)
    list(parse.from_file(path))


def _matrix_file(
    folder_name: str, load_files: Callable[[Path], object], suffix: str = ".toml"
) -> Callable[[bytes, Path], None]:
    """Return the parser of the entries of a matrix in its folder ``folder_name``."""

    def parse_file(data: bytes, folder: Path) -> None:
        (folder / folder_name).mkdir()
        # An entry is called as its file is.
        name = _ENTRY_NAME.search(data)
        stem = name[1].decode() if name else "entry"
        (folder / folder_name / f"{stem}{suffix}").write_bytes(data)
        load_files(folder)

    return parse_file


def _model_config(data: bytes, folder: Path) -> None:
    (folder / "config.json").write_bytes(data)
    config = model_config.read(folder, {"MistralForCausalLM": "mistral"})
    if config is not None:
        _ = config.model_types


def _gguf(data: bytes, folder: Path) -> None:
    (folder / "model.gguf").write_bytes(data)
    model_config.gguf_type(folder / "model.gguf")


def _events(data: bytes, _: Path) -> None:
    reader = EventReader()
    for line in data.splitlines():
        try:
            event: Any = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            reader.take(event)
    reader.run(ChildRun(ending="exit", code=0, seconds=1.0))


def _facts(data: bytes, _: Path) -> None:
    try:
        event = json.loads(data)
        TargetFacts("python", event)
    except (ValidationError, KeyError, TypeError, ValueError, RecursionError):
        # The caller of TargetFacts reports these as a broken answer of the target.
        return


def _pattern(data: bytes, _: Path) -> None:
    try:
        pattern = patterns.compiled(data.decode("utf-8", "replace"))
    except patterns.PatternError:
        return
    patterns.is_found(pattern, "a" * 2000 + "!")


def _value(parse_text: Callable[[str], object]) -> Callable[[bytes, Path], None]:
    def parse_bytes(data: bytes, _: Path) -> None:
        try:
            parse_text(data.decode("utf-8", "replace"))
        except parsing.MalformedError:
            return

    return parse_bytes


def planted_crash(data: bytes, _: Path) -> None:
    """Raise for inputs that begin with three bytes: a search that does not find this finds nothing."""
    if data[:1] == b"v" and data[1:2] == b"c" and data[2:3] == b"2":
        message = "planted crash"
        raise IndexError(message)


def planted_hang(data: bytes, _: Path) -> None:
    """Never end for inputs that begin with three bytes."""
    while data[:1] == b"v" and data[1:2] == b"c" and data[2:3] == b"2":
        pass


_WORDS = b"torch==2.13.0 transformers>=4.40,<5 peft python==3.11 numpy~=2.1"
_CELL = b'{"torch": "2.13.0", "transformers": "4.48.3", "peft": "0.14.0", "python": "3.11"}\n{"torch": ">=2.5"}'
_EVENTS = b"""{"event": "start", "worker": "1", "protocol": 1}
{"event": "importing", "package": "torch"}
{"event": "import", "package": "torch", "version": "2.13.0", "file": "torch/__init__.py", "seconds": 1.5}
{"event": "import-failed", "package": "peft", "error": {"type": "ImportError", "message": "no", "file": null}}
{"event": "device", "type": "cpu", "name": "cpu", "capability": null, "torch": "2.13.0", "cuda": null}
{"event": "recipe", "recipe": "bf16", "steps": 6}
{"event": "step", "recipe": "bf16", "step": 1, "loss": 4.5, "grad_norm": 1.0}
{"event": "recipe-failed", "recipe": "bf16", "phase": "forward", "error": {"type": "RuntimeError", "message": "no"}}
{"event": "door", "door": "trainer", "trains": true}
{"event": "door-end", "door": "trainer", "losses": [4.5, NaN], "moved": 1.0, "error": null, "seconds": 1.0}
{"event": "measure", "name": "bf16", "value": 1e999}
{"event": "end"}"""
_FACTS = b"""{"event": "facts", "interpreter": {"version": "3.11.7", "implementation": "cpython", "prefix": "/e",
"base_prefix": "/usr", "executable": "/e/bin/python", "paths": ["/e/lib"]}, "platform": {"system": "Linux", "machine":
"x86_64", "markers": {"python_version": "3.11"}}, "distributions": [{"name": "torch", "version": "2.13.0", "requires":
["numpy<3"], "location": "/e/lib"}], "modules": [{"name": "torch", "file": "/e/lib/torch/__init__.py"}]}"""
_NOTEBOOK = b"""{"cells": [{"cell_type": "code", "source": ["import torch\\n", "%pip install x\\n", "model.half()"]},
{"cell_type": "markdown", "source": "text"}], "metadata": {"language_info": {"name": "python"}}, "nbformat": 4}"""
_CONFIG = b'{"architectures": ["MistralForCausalLM"], "model_type": "mistral", "text_config": {"model_type": "llama"}}'
_GGUF = (
    b"GGUF\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"
    b"\x14\x00\x00\x00\x00\x00\x00\x00general.architecture\x08\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00llama"
)
_GIT_INDEX = b"DIRC\x00\x00\x00\x02\x00\x00\x00\x01" + bytes(61) + b"\x08train.py" + bytes(2) + bytes(20)
"""One tracked file, without its facts on disk: https://git-scm.com/docs/index-format."""
_ACCELERATE = b"compute_environment: LOCAL_MACHINE\nmixed_precision: fp16\ndeepspeed_config:\n  zero_stage: 2\n"
_TRAIN = "import torch\nmodel.half()\nscaler = torch.cuda.amp.GradScaler()\n"
_FIXTURES = "tests/linter/fixtures"
_READ = "vc2doctor/linter/read"

PARSERS: dict[str, Parser] = {
    "python": Parser(
        _lint_as("train.py"),
        (f"{_FIXTURES}/rules/*/bad/**/*.py", f"{_FIXTURES}/programs/*/before/**/*.py"),
        (f"{_READ}/source.py", f"{_READ}/module.py", "vc2doctor/linter/analyse/values.py"),
    ),
    "notebook": Parser(_lint_as("train.ipynb"), (), (f"{_READ}/source.py",), (_NOTEBOOK,)),
    "yaml": Parser(
        _lint_as("config.yaml", _TRAIN),
        (f"{_FIXTURES}/**/*.y*ml",),
        (f"{_READ}/formats/yaml.py", "vc2doctor/core/yaml_parsing.py"),
    ),
    "json": Parser(
        _lint_as("ds_config.json", _TRAIN),
        (f"{_FIXTURES}/**/*.json",),
        (f"{_READ}/formats/json.py", f"{_READ}/run_settings.py"),
    ),
    "shell": Parser(
        _lint_as("run.sh", _TRAIN),
        (f"{_FIXTURES}/**/*.sh", f"{_FIXTURES}/**/*.slurm"),
        (f"{_READ}/formats/shell.py", f"{_READ}/shell_words.py"),
    ),
    "settings": Parser(
        _settings,
        ("pyproject.toml", "tests/commands/**/*.toml"),
        ("vc2doctor/commands/settings.py", "vc2doctor/core/parsing.py"),
    ),
    "gitignore": Parser(_git_ignore, (".gitignore",), (f"{_READ}/gitignore.py", "vc2doctor/core/patterns.py")),
    "git-index": Parser(_git_index, (".git/index",), (f"{_READ}/gitignore.py",), (_GIT_INDEX,)),
    "requirements": Parser(_requirements, (f"{_FIXTURES}/**/requirements*.txt",), (f"{_READ}/requirements.py",)),
    "accelerate": Parser(
        _user_config, (f"{_FIXTURES}/**/*accelerate*.yaml",), (f"{_READ}/user_config.py",), (_ACCELERATE,)
    ),
    "words": Parser(_words, (), ("vc2doctor/matrix/parse.py",), (_WORDS,)),
    "cells": Parser(_query_file, (), ("vc2doctor/matrix/parse.py",), (_CELL,)),
    "profile": Parser(
        _matrix_file("profiles", load.profiles),
        ("matrices/profiles/*.toml",),
        ("vc2doctor/matrix/profile.py", "vc2doctor/matrix/load.py"),
    ),
    "known-issue": Parser(
        _matrix_file("known_issues", load.known_issues),
        ("matrices/known_issues/*.toml",),
        ("vc2doctor/matrix/known_issue.py", "vc2doctor/matrix/load.py"),
    ),
    "evidence": Parser(
        _matrix_file("evidence", load.evidence, ".jsonl"),
        ("matrices/evidence/*.jsonl",),
        ("vc2doctor/matrix/evidence.py", "vc2doctor/matrix/load.py"),
    ),
    "model-config": Parser(
        _model_config, ("tests/**/config.json",), ("vc2doctor/commands/model_config.py",), (_CONFIG,)
    ),
    "gguf": Parser(_gguf, (), ("vc2doctor/commands/model_config.py",), (_GGUF,)),
    "events": Parser(_events, (), ("vc2doctor/probe/events.py", "vc2doctor/probe/facts.py"), (_EVENTS,)),
    "facts": Parser(_facts, (), ("vc2doctor/environment/interpreter.py",), (_FACTS,)),
    "pattern": Parser(_pattern, (), ("vc2doctor/core/patterns.py",), (b"(a+)+$", rb"\bfp16\w{2,5}(?:x|y)*[^z]")),
    "json-value": Parser(_value(parsing.parse_json), (f"{_FIXTURES}/**/*.json",), ("vc2doctor/core/parsing.py",)),
    "toml-value": Parser(
        _value(parsing.parse_toml), ("pyproject.toml", "matrices/profiles/*.toml"), ("vc2doctor/core/parsing.py",)
    ),
    "yaml-value": Parser(
        _value(yaml_parsing.parse_yaml), (f"{_FIXTURES}/**/*.y*ml",), ("vc2doctor/core/yaml_parsing.py",)
    ),
}
"""By name. The first ones are whole lints of a folder, so that what follows the parser is tried, too."""

PLANTED: dict[str, Parser] = {
    "planted-crash": Parser(planted_crash, (), ()),
    "planted-hang": Parser(planted_hang, (), ()),
}
"""Faults on purpose, which show that the search finds faults."""
