"""What several small packages need from each other, over their releases."""

from __future__ import annotations

from pathlib import Path

from tests.curate.wheels.wheels import wheel
from vc2doctor.curate.wheels import symbols
from vc2doctor.curate.wheels.read import Reader
from vc2doctor.matrix.releases import Release, RequiredSymbol

GUARDED = """import importlib.util
if importlib.util.find_spec("torchao") is not None:
    import torchao.quantization
"""


def release(folder: Path, package: str, version: str, **files: str) -> Reader:
    (folder / version).mkdir(exist_ok=True)
    return wheel(folder / version, package, {f"{package}/{name}.py": text for name, text in files.items()})


def required(readers: dict[str, dict[str, Reader]]) -> tuple[RequiredSymbol, ...]:
    releases = {name: {text: Release(date="2026-01-01") for text in by_version} for name, by_version in readers.items()}
    return symbols.read(readers, releases, lambda _: None).required


def test_what_a_loaded_package_needs_is_needed_beside_the_releases_that_load_it(tmp_path: Path) -> None:
    quantizing = {"__init__": "import torch.private", "quantization": ""}
    readers = {
        "torch": {"1": release(tmp_path, "torch", "1", __init__="", private=""), "2": release(tmp_path, "torch", "2")},
        "torchao": {"0.1": release(tmp_path, "torchao", "0.1", **quantizing)},
        "peft": {
            "0.1": release(tmp_path, "peft", "0.1", __init__=""),
            "0.2": release(tmp_path, "peft", "0.2", __init__=GUARDED),
        },
    }
    (need,) = required(readers)
    assert (need.package, need.module, need.when) == ("torchao", "torch.private", {"peft": ">=0.2"})


def test_a_package_that_nothing_loads_needs_nothing(tmp_path: Path) -> None:
    readers = {
        "torch": {"1": release(tmp_path, "torch", "1", private=""), "2": release(tmp_path, "torch", "2")},
        "torchao": {"0.1": release(tmp_path, "torchao", "0.1", __init__="import torch.private")},
        "peft": {"0.1": release(tmp_path, "peft", "0.1", __init__="")},
    }
    assert required(readers) == ()


TRAINER = """class Trainer:
    def training_step(self):
        if unknown():
            self.accelerator.seldom()
        if self.accelerator.new is None:
            return self.accelerator.old()
"""


def test_a_trainer_needs_the_attributes_of_its_accelerator(tmp_path: Path) -> None:
    old = "class Accelerator:\n    def old(self):\n        self.state = 1\n"
    new = f"{old}\n    @property\n    def new(self):\n        return None\n"
    readers = {
        "accelerate": {
            "1": release(tmp_path, "accelerate", "1", __init__="", accelerator=old),
            "2": release(tmp_path, "accelerate", "2", __init__="", accelerator=new),
        },
        "transformers": {"5": release(tmp_path, "transformers", "5", __init__="", trainer=TRAINER)},
    }
    (need,) = required(readers)
    assert (need.module, need.symbol, need.door) == ("accelerate", "accelerator.Accelerator.new", "trainer")


def test_a_door_that_older_releases_lack_is_needed_from_the_package_itself(tmp_path: Path) -> None:
    readers = {
        "trl": {
            "1": release(tmp_path, "trl", "1", __init__="class SFTTrainer: ...\nclass DPOTrainer: ..."),
            "2": release(
                tmp_path, "trl", "2", __init__="class SFTTrainer: ...\nclass DPOTrainer: ...\nclass GRPOTrainer: ..."
            ),
        }
    }
    (need,) = required(readers)
    assert (need.package, need.module, need.symbol, need.door) == ("trl", "trl", "GRPOTrainer", "grpo")


def test_a_name_of_compiled_code_stays_when_the_package_stops_using_it(tmp_path: Path) -> None:
    readers = {
        "torch": {
            "1": release(tmp_path, "torch", "1", __init__=""),
            "2": release(tmp_path, "torch", "2", __init__="", use="import torch\nKINDS = (torch.uint1,)"),
            "3": release(tmp_path, "torch", "3", __init__=""),
        },
        "peft": {"0.1": release(tmp_path, "peft", "0.1", __init__="import torch\nKIND = torch.uint1")},
    }
    releases = {name: {text: Release(date="2026-01-01") for text in versions} for name, versions in readers.items()}
    (entry,) = symbols.read(readers, releases, lambda _: None).provided
    assert (entry.symbol, entry.releases) == ("uint1", (("2", "3"),))
