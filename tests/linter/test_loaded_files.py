"""The names of files and folders that training code loads, wherever they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loaded_files import loaded_files
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.project import read_project

CASES = {
    "literal": ("AutoModelForCausalLM.from_pretrained('m')", {("model", "m")}),
    "variable": ("path = 'm'\nAutoTokenizer.from_pretrained(path)", {("tokenizer", "m")}),
    "keyword": ("AutoModel.from_pretrained(pretrained_model_name_or_path='m')", {("model", "m")}),
    "slow tokenizer": ("AutoTokenizer.from_pretrained('m', use_fast=False)", set()),
    "adapter": ("PeftModel.from_pretrained(model, 'a', is_trainable=True)", {("adapter", "a")}),
    "adapter by keyword": ("PeftModel.from_pretrained(model, model_id='a')", {("adapter", "a")}),
    "adapter's configuration": ("PeftConfig.from_pretrained('a')", {("adapter", "a")}),
    "adapter with its base": ("AutoPeftModelForCausalLM.from_pretrained('a')", {("adapter", "a")}),
    "load_adapter": ("model.load_adapter('a', adapter_name='x')", {("adapter", "a")}),
    "parquet": ("load_dataset('x', data_files={'train': ['d.parquet']})", {("data", "d.parquet"), ("data", "x")}),
    "folder of data": ("load_from_disk('d')", {("data-folder", "d")}),
    "resumed": ("trainer.train(resume_from_checkpoint='c')", {("checkpoint", "c")}),
    "resumed by arguments": ("TrainingArguments('o', resume_from_checkpoint='c')", {("checkpoint", "c")}),
    "newest": ("a = TrainingArguments('o')\nt.train(resume_from_checkpoint=True)", {("checkpoint", "o")}),
    "not resumed": ("a = TrainingArguments('o')\nt.train(resume_from_checkpoint=None)", set()),
    "another method": ("a = TrainingArguments('o')\nmodel.train(True)", set()),
    "computed": ("AutoModel.from_pretrained(find())", set()),
}  # fmt: skip


def loads(tmp_path: Path, files: dict[str, str]) -> set[tuple[str, str]]:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    facts = Facts(CodeFacts(read_project((tmp_path,), (), {}, {})))
    return {(each.kind, each.name) for each in loaded_files(facts)}


@pytest.mark.parametrize("name", CASES)
def test_a_name_is_found_where_it_is_written(tmp_path: Path, name: str) -> None:
    text, expected = CASES[name]
    assert loads(tmp_path, {"train.py": f"from transformers import *\n{text}\n"}) == expected


def test_a_command_names_what_the_program_loads(tmp_path: Path) -> None:
    code = "from transformers import *\nAutoTokenizer.from_pretrained(args.model_name_or_path)\ntrainer.train()\n"
    command = "python train.py --bf16 --model_name_or_path m --resume_from_checkpoint c --adapter_path a\n"
    expected = {("model", "m"), ("tokenizer", "m"), ("checkpoint", "c"), ("adapter", "a")}
    assert loads(tmp_path, {"train.py": code, "run.sh": command}) == expected


def test_a_configuration_names_them_as_well(tmp_path: Path) -> None:
    files = {
        "train.py": "import transformers\n",
        "config.yaml": "bf16: true\nadapter_name_or_path: a\ntrain: d.parquet\n",
    }
    assert loads(tmp_path, files) == {("adapter", "a"), ("data", "d.parquet")}


def test_what_only_generates_does_not_count(tmp_path: Path) -> None:
    code = "from transformers import *\nm = AutoModel.from_pretrained('m')\nm.generate()\n"
    assert loads(tmp_path, {"inference.py": code}) == set()
