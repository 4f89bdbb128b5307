"""Local files in an environment that is older than they are: really loaded, and repaired by the printed command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from tests.target.worker_package import EventList
from vc2doctor.target.probe import saved_files
from vc2doctor.target.shared.spec import Spec, parse

Doctor = Callable[..., Ran]
StackOf = Callable[..., Path]
OLD = (
    "torch==2.13.0",
    "transformers==4.44.2",
    "peft==0.11.1",
    "accelerate==0.34.2",
    "datasets==3.6.0",
    "numpy<2.3",
    "setuptools",
)
PARQUET = Path(__file__).parents[1] / "commands" / "fixtures" / "lists_of_datasets_5.parquet"
CODE = """
from datasets import load_dataset
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments
tokenizer = AutoTokenizer.from_pretrained("m")
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("m"), "a", is_trainable=True)
trainer = Trainer(model, TrainingArguments("o"), train_dataset=load_dataset("parquet", data_files="d.parquet"))
trainer.train(resume_from_checkpoint="c")
"""
TOKENIZER = {
    "version": "1.0",
    "added_tokens": [],
    "pre_tokenizer": {"type": "Whitespace"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
}


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_a_spec_with_files_can_be_a_key() -> None:
    spec = parse(json.dumps({"files": [["adapter", "", "/a"]]}))
    assert spec.files == (("adapter", "", "/a"),)
    assert hash(spec) == hash(spec)


def test_no_files_make_no_event() -> None:
    events = EventList()
    saved_files.run(events, Spec())
    assert events.events == []


def test_a_package_that_is_not_installed_leaves_its_files_out() -> None:
    events = EventList()
    saved_files.run(events, Spec(files=(("dataset", "", "/nowhere"),)))
    assert events.events[-1] == {"event": "files", "tried": [], "left_out": 1, "failed": []}


@pytest.mark.stack
@pytest.mark.xdist_group("saved-files")
def test_files_of_newer_releases_are_loaded_in_the_old_environment_and_each_gets_a_command(
    tmp_path: Path, doctor: Doctor, stack_of: StackOf
) -> None:
    (tmp_path / "train.py").write_text(CODE, encoding="utf-8")
    shutil.copy(PARQUET, tmp_path / "d.parquet")
    config = {"model_type": "llama", "rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}}
    write(tmp_path / "m" / "config.json", config)
    write(tmp_path / "m" / "tokenizer.json", TOKENIZER)
    write(tmp_path / "m" / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    write(tmp_path / "a" / "adapter_config.json", {"peft_type": "LORA", "r": 8, "corda_config": None})
    write(tmp_path / "c" / "trainer_state.json", {"epoch": 1.0, "best_global_step": None})
    python = str(stack_of(*OLD) / "bin" / "python")
    ran = doctor("check", "--python", python, "--code", "train.py", "--format", "json", cwd=tmp_path)
    found = [each for each in json.loads(ran.out)["findings"] if each["id"] == "VC032"]
    assert {(each["message"].partition(" ")[0], each["severity"]) for each in found} == {
        ("m/tokenizer.json", "error"),
        ("m/config.json", "warning"),
        ("a/adapter_config.json", "error"),
        ("c/trainer_state.json", "error"),
        ("d.parquet", "error"),
    }
    said = {each["message"].partition(" ")[0]: each["evidence"][0] for each in found}
    assert "untagged enum ModelWrapper" in said["m/tokenizer.json"]
    assert "unexpected keyword argument 'corda_config'" in said["a/adapter_config.json"]
    assert "unexpected keyword argument 'best_global_step'" in said["c/trainer_state.json"]
    assert "Feature type 'List' not found" in said["d.parquet"]
    assert (
        said["m/config.json"]
        == "seen in this environment: rope_parameters: rope_theta is 500000.0, and 10000.0 is loaded"
    )
    assert all(each["commands"] for each in found)
