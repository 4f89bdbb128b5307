"""What the key of a kept answer is made of, gathered from real environments and real files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import make_venv
from tests.facts import gpu
from tests.project import Project
from vc2doctor.checks import policy
from vc2doctor.checks.policy import PolicyEntry
from vc2doctor.commands import cache_facts, decisions
from vc2doctor.commands.cache_key import key
from vc2doctor.commands.request import CheckRequest, GateRequest, ProbeRequest
from vc2doctor.commands.settings import SettingsSource
from vc2doctor.core.invocation import Invocation
from vc2doctor.environment import fingerprint
from vc2doctor.environment.fingerprint import FingerprintError
from vc2doctor.environment.model import Nvidia
from vc2doctor.environment.sources import Source
from vc2doctor.findings import Severity
from vc2doctor.matrix import load


class Machine(Project):
    """A project, and a home of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "import torch\nloss.backward()\n")

    def request(self, **fields: Any) -> CheckRequest:  # noqa: ANN401 - those of a request
        return CheckRequest(**{"python": self.venv.python, "code": self.work, **fields})

    def key(self, *outputs: Path, **fields: Any) -> str:  # noqa: ANN401
        return key(cache_facts.gather(self.request(**fields), self.work, outputs))

    def key_of_probe(self, **fields: Any) -> str:  # noqa: ANN401
        return key(cache_facts.gather(ProbeRequest(python=self.venv.python, **fields), self.work))

    def key_of_gate(self, *words: str) -> str:
        check = self.request(code=None)
        facts = cache_facts.of_gate(GateRequest(command=(self.venv.python, *words), check=check), self.work)
        assert facts is not None
        return key(facts)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    return Machine(tmp_path)


def test_folder_of_an_environment_and_its_interpreter_have_one_key(machine: Machine) -> None:
    folder = str(machine.venv.root)
    options = [Invocation(options=(("--python", name),)) for name in (machine.venv.python, folder)]
    first, second = (
        machine.key(python=name, invocation=invocation)
        for name, invocation in zip((machine.venv.python, folder), options, strict=True)
    )
    assert first == second
    command = (machine.venv.python, "train.py")
    facts = [
        cache_facts.of_gate(GateRequest(command=command, check=machine.request(code=None, python=name)), machine.work)
        for name in (machine.venv.python, folder)
    ]
    assert facts[0] == facts[1]
    other = make_venv(machine.work.parent / "other")
    assert machine.key(python=other.python) != machine.key()


def edit(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")


def same_size_and_time(path: Path) -> None:
    """Change a file as an attacker or a copy would: only the inode is another one."""
    status = path.stat()
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    copy.replace(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES: dict[str, Callable[[Machine], object]] = {
    "a file of torch": lambda machine: edit(machine.venv.packages / "torch" / "__init__.py"),
    "the time of a file of peft": lambda machine: os.utime(machine.venv.packages / "peft" / "__init__.py", (1, 1)),
    "the inode of a file of torch": lambda machine: same_size_and_time(machine.venv.packages / "torch/__init__.py"),
    "a new file of transformers": lambda machine: (machine.venv.packages / "transformers" / "new.py").touch(),
    "RECORD": lambda machine: edit(next(machine.venv.packages.glob("torch-*.dist-info")) / "RECORD"),
    "METADATA": lambda machine: edit(next(machine.venv.packages.glob("peft-*.dist-info")) / "METADATA"),
    "another distribution": lambda machine: machine.venv.add("sympy", "1.13"),
    "a .pth file": lambda machine: (machine.venv.packages / "x.pth").write_text("/nosuch\n", encoding="utf-8"),
    "sitecustomize": lambda machine: (machine.venv.packages / "sitecustomize.py").touch(),
    "pyvenv.cfg": lambda machine: edit(machine.venv.root / "pyvenv.cfg"),
    "the code": lambda machine: edit(machine.work / "train.py"),
    "settings": lambda machine: (machine.work / "pyproject.toml").write_text(
        '[tool.vc2doctor.lint]\nignore = ["VC109"]\n', encoding="utf-8"
    ),
    "requirements": lambda machine: (machine.work / "requirements.txt").write_text("torch==2.13.0\n", encoding="utf-8"),
    "a module that shadows torch": lambda machine: (machine.work / "torch.py").touch(),
    "a model in the cache of the hub": lambda machine: (
        machine.folder / "huggingface/hub/models--a--b/snapshots/1"
    ).mkdir(parents=True),
}


@pytest.mark.parametrize("name", CHANGES)
def test_key_is_another_after_a_change_of(name: str, machine: Machine) -> None:
    before = machine.key()
    assert machine.key() == before
    CHANGES[name](machine)
    assert machine.key() != before


@pytest.mark.parametrize(
    "fields",
    [
        {"precision": "fp16"},
        {"doors": ("dpo",)},
        {"profile": "videochat2-mistral"},
        {"require_gpu": True},
        {"fail_on": Severity.WARNING},
        {"learning_rate": 0.5},
        {"probe": False},
        {"device": "cpu"},
        {"timeout": 9.0},
        {"code": None},
        {"settings_source": SettingsSource(isolated=True)},
    ],
)
def test_key_is_another_with_other_options(fields: dict[str, Any], machine: Machine) -> None:
    assert machine.key(**fields) != machine.key()


@pytest.mark.parametrize(
    "name", ["PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "TORCH_LOGS", "HF_HUB_OFFLINE"]
)
def test_key_is_another_with_another_variable(name: str, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.key()
    monkeypatch.setenv(name, "/nosuch")
    assert machine.key() != before


def test_key_is_another_in_another_folder_and_for_another_interpreter(machine: Machine, tmp_path: Path) -> None:
    before = machine.key()
    shutil.copytree(machine.work, tmp_path / "other")
    machine.work = tmp_path / "other"
    in_other_folder = machine.key(code=tmp_path / "work")
    assert in_other_folder != before
    machine.venv = make_venv(tmp_path / "second")
    machine.venv.add_stack()
    assert machine.key(code=tmp_path / "work") not in (before, in_other_folder)


def test_what_manages_an_environment_in_a_folder_with_a_space_counts(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "a b")
    before = machine.key()
    records = machine.venv.root / "conda-meta"
    records.mkdir()
    (records / "numpy-2.4.6-py311.json").write_text("{}", encoding="utf-8")
    assert machine.key() != before


def test_another_matrix_has_another_key(machine: Machine, tmp_path: Path) -> None:
    matrix = tmp_path / "matrix"
    shutil.copytree(load.shipped() / "profiles", matrix / "profiles")
    before = machine.key(matrix=matrix)
    edit(next((matrix / "profiles").iterdir()))
    assert machine.key(matrix=matrix) != before


def test_driver_and_gpus_count_but_not_the_memory_that_is_free(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key_with(**fields: Any) -> str:  # noqa: ANN401 - those of a GPU, or the driver
        driver = fields.pop("driver", "580.95.05")
        card = gpu("NVIDIA H100", (9, 0)).model_copy(update=fields)
        facts = Nvidia(driver=driver, cuda=(13, 0), gpus=(card,))
        # No machine of the tests has this GPU.
        monkeypatch.setattr(cache_facts, "sources", lambda: (Source("nvidia", lambda _: facts, Nvidia),))
        return machine.key()

    before = key_with()
    assert key_with(memory_free=1) == before
    others = [key_with(driver="580.95.06"), key_with(name="NVIDIA H200"), key_with(memory_total=1), key_with(mig=True)]
    assert len({before, *others}) == len(others) + 1


def test_files_and_versions_of_the_doctor_count(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "doctor"
    package.mkdir()
    (package / "check.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(cache_facts, "_PACKAGE", package)
    keys = [machine.key()]
    edit(package / "check.py")
    keys.append(machine.key())
    for name in ("__version__", "WORKER_VERSION"):
        monkeypatch.setattr(cache_facts, name, "0.0.0")
        keys.append(machine.key())
    assert len(set(keys)) == len(keys)


def test_entry_of_the_policy_that_expires_and_the_findings_of_a_baseline_count(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = PolicyEntry(severity="off", reason="ticket", expires=date(2027, 3, 31))
    baseline = tmp_path / "known.json"
    baseline.write_text("{}", encoding="utf-8")

    def key_on(day: date) -> str:
        monkeypatch.setattr(decisions, "today", lambda entries: policy.on(day, entries))
        return machine.key(policy={"VC105": entry}, baseline=baseline)

    before = key_on(date(2027, 1, 1))
    assert key_on(date(2027, 3, 31)) == before
    assert key_on(date(2027, 4, 1)) != before
    edit(baseline)
    assert key_on(date(2027, 1, 1)) != before


def test_bytecode_and_written_reports_do_not_count(machine: Machine) -> None:
    report = machine.work / "report.json"
    before = machine.key(report)
    report.write_text("{}", encoding="utf-8")
    bytecode = machine.venv.packages / "torch" / "__pycache__"
    bytecode.mkdir()
    (bytecode / "__init__.cpython-311.pyc").write_bytes(b"x")
    assert machine.key(report) == before
    assert machine.key() != before


def test_each_option_of_a_probe_counts(machine: Machine) -> None:
    options: tuple[dict[str, Any], ...] = (
        {},
        {"seed": 1},
        {"stress": True},
        {"rl": True},
        {"compiled": True},
        {"deterministic": True},
        {"attention": ("eager",)},
        {"recipes": ("fp16-amp",)},
        {"precision": "fp16-amp"},
        {"texts": ("one",)},
        {"checkpoint": machine.work},
        {"checkpoint": machine.work, "train": True},
    )
    keys = [machine.key_of_probe(**fields) for fields in options]
    assert len({*keys, machine.key(code=None)}) == len(options) + 1


def make_checkpoint(machine: Machine) -> Path:
    """Write a checkpoint as in the cache of huggingface_hub: links, and one shard in a folder below."""
    checkpoint, blob = machine.folder / "model", machine.folder / "blob"
    (checkpoint / "shards").mkdir(parents=True)
    (checkpoint / "config.json").write_text('{"a": 1}', encoding="utf-8")
    for path in (blob, checkpoint / "shards" / "model-00002.safetensors"):
        path.write_bytes(bytes(cache_facts.MAX_NAMED_BYTES + 1))
    (checkpoint / "model-00001.safetensors").symlink_to(blob)
    return checkpoint


def same_length(path: Path) -> None:
    """Change a small file as a person would within one tick of the clock: size, time and inode stay."""
    status = path.stat()
    path.write_text('{"a": 2}', encoding="utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHECKPOINT_CHANGES: dict[str, Callable[[Path], object]] = {
    "the content of its configuration": lambda folder: same_length(folder / "config.json"),
    "the time of weights behind a link": lambda folder: os.utime(folder / "model-00001.safetensors", (1, 1)),
    "the inode of weights": lambda folder: same_size_and_time(folder / "shards" / "model-00002.safetensors"),
    "the size of weights in a folder below": lambda folder: os.truncate(
        folder / "shards" / "model-00002.safetensors", 2 * cache_facts.MAX_NAMED_BYTES
    ),
    "a new file": lambda folder: (folder / "tokenizer.json").touch(),
    "a file that is gone": lambda folder: (folder / "config.json").unlink(),
}


def test_each_change_of_a_checkpoint_counts(machine: Machine) -> None:
    for name, change in CHECKPOINT_CHANGES.items():
        checkpoint = make_checkpoint(machine)
        before = machine.key_of_probe(checkpoint=checkpoint)
        assert machine.key_of_probe(checkpoint=checkpoint) == before
        change(checkpoint)
        assert machine.key_of_probe(checkpoint=checkpoint) != before, name
        shutil.rmtree(checkpoint)


def test_checkpoint_of_one_file_and_the_file_of_texts_count(machine: Machine) -> None:
    model, data = machine.folder / "model.gguf", machine.folder / "texts.txt"
    model.write_bytes(b"GGUF")
    data.write_text("one\n", encoding="utf-8")
    keys = [machine.key_of_probe(checkpoint=model, data=data)]
    model.write_bytes(b"GGU2")
    keys.append(machine.key_of_probe(checkpoint=model, data=data))
    edit(data)
    keys.append(machine.key_of_probe(checkpoint=model, data=data))
    assert len(set(keys)) == len(keys)


def test_folder_with_too_many_files_for_a_checkpoint_has_no_key(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_facts, "MAX_CHECKPOINT_FILES", 2)
    with pytest.raises(FingerprintError, match="has more than 2 files"):
        machine.key_of_probe(checkpoint=make_checkpoint(machine))


def test_words_and_named_files_of_a_command_count(machine: Machine) -> None:
    (machine.work / "run.yaml").write_text("bf16: true\n", encoding="utf-8")
    checkpoint = machine.work / "model"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}", encoding="utf-8")
    words = ("train.py", "--config", "run.yaml", "--model_name_or_path", "model")
    keys = [machine.key_of_gate("train.py"), machine.key_of_gate("train.py", "--bf16", "True")]
    keys.append(machine.key_of_gate(*words))
    assert machine.key_of_gate(*words) == keys[-1]
    for path in (machine.work / "run.yaml", checkpoint / "config.json", machine.work / "train.py"):
        edit(path)
        keys.append(machine.key_of_gate(*words))
    assert len(set(keys)) == len(keys)


def test_gate_before_an_unknown_interpreter_has_no_key(machine: Machine) -> None:
    assert cache_facts.of_gate(GateRequest(command=("/bin/true",)), machine.work) is None


def test_environment_with_too_many_files_is_not_looked_at(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "MAX_FILES", 100)
    with pytest.raises(FingerprintError, match="has more than 100 files"):
        machine.key()


def test_target_that_does_not_answer_is_not_looked_at(machine: Machine) -> None:
    (machine.venv.packages / "sitecustomize.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    with pytest.raises(FingerprintError, match="does not say from where it imports"):
        machine.key()
