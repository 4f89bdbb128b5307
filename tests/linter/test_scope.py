"""What a command starts is judged without the rest of the project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.recipe import recipes_of, recipes_of_launches
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.config import Launch
from vc2doctor.linter.read.formats.shell import launch_of
from vc2doctor.linter.read.project import ProjectFiles, read_project
from vc2doctor.linter.run import LintTask, apply_rules
from vc2doctor.linter.scope import imports_by_unknown_names, scoped

HALF = "import torch\nmodel.half()\nloss.backward()\noptimizer.step()\n"


def launch(command: str) -> Launch:
    made = launch_of("<command>", command.split())
    assert made is not None
    return made


def project(folder: Path, files: dict[str, str], command: str) -> ProjectFiles:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    launches = (launch(command),)
    return scoped(read_project((folder,), launches=launches), launches)


def test_code_of_a_command_is_its_program_and_what_that_imports(tmp_path: Path) -> None:
    files = {
        "train.py": "from lib import build\nbuild.main()\n",
        "lib/__init__.py": "",
        # No word of it has to do with precision, so it is not parsed at first.
        "lib/build.py": "from .model import Model\n",
        "lib/model.py": HALF,
        "other.py": HALF,
        "other.sh": "python other.py --fp16\n",
    }
    found = project(tmp_path, files, "python train.py")
    assert {*found.modules, *found.texts} == {"train.py", "lib/__init__.py", "lib/build.py", "lib/model.py"}
    assert [each.script for each in found.launches] == ["<command>"]


def test_configurations_of_a_command_are_those_that_it_names_or_its_code_names(tmp_path: Path) -> None:
    engine = json.dumps({"train_batch_size": 1, "fp16": {"enabled": True}, "zero_optimization": {"stage": 2}})
    arguments = "output_dir: out\nper_device_train_batch_size: 1\nfp16: true\ndeepspeed: engines/zero2.json\n"
    files = {
        "train.py": HALF,
        "mine.yaml": arguments,
        "others.yaml": arguments,
        "engines/zero2.json": engine,
        "engines/zero3.json": engine,
    }
    found = project(tmp_path, files, "python train.py mine.yaml")
    assert sorted(config.name for config in found.configs) == ["engines/zero2.json", "mine.yaml"]
    files["train.py"] = f"{HALF}arguments = TrainingArguments('out', deepspeed='engines/zero3.json')\n"
    found = project(tmp_path, files, "python train.py")
    assert [config.name for config in found.configs] == ["engines/zero3.json"]


@pytest.mark.parametrize(
    ("command", "configs"),
    [
        ("python train.py --config both.yaml", ["both.yaml"]),
        ("python train.py", ["plain.yaml"]),
        ("python train.py -c both.yaml", ["both.yaml", "plain.yaml"]),
    ],
)
def test_file_that_a_flag_names_replaces_the_default(tmp_path: Path, command: str, configs: list[str]) -> None:
    """Both flags of both.yaml are on. With the default beside it, nothing would be known about them."""
    files = {
        "train.py": (
            "import argparse, yaml\nfrom transformers import TrainingArguments\nparser = argparse.ArgumentParser()\n"
            "parser.add_argument('-c', '--config', default='plain.yaml')\nargs = parser.parse_args()\n"
            "config = yaml.safe_load(open(args.config))\n"
            "TrainingArguments('out', fp16=config.get('fp16', False), bf16=config['bf16'])\n"
        ),
        "plain.yaml": "bf16: true\n",
        "both.yaml": "bf16: true\nfp16: true\n",
    }
    found = project(tmp_path, files, command)
    assert sorted(config.name for config in found.configs) == configs
    findings = apply_rules(LintTask(paths=(tmp_path,), launches=(launch(command),))).findings
    assert ("VC106" in {finding.id for finding in findings}) is (configs == ["both.yaml"])


def test_all_configurations_count_where_hydra_finds_them(tmp_path: Path) -> None:
    files = {"train.py": f"import hydra\n{HALF}", "conf/a.yaml": "precision: 16\n", "conf/b.yaml": "precision: bf16\n"}
    found = project(tmp_path, files, "python train.py")
    assert sorted(config.name for config in found.configs) == ["conf/a.yaml", "conf/b.yaml"]


def test_import_by_a_name_that_only_a_run_knows_is_named(tmp_path: Path) -> None:
    files = {"train.py": "import importlib, sys\nimportlib.import_module(sys.argv[1])\n"}
    assert imports_by_unknown_names(project(tmp_path, files, "python train.py")) == "train.py"
    files = {"train.py": "import importlib\nimportlib.import_module('lib')\n"}
    assert imports_by_unknown_names(project(tmp_path, files, "python train.py")) is None


@pytest.mark.parametrize(
    ("command", "recipe"),
    [
        ("accelerate launch --mixed_precision bf16 train.py", "bf16-amp"),
        ("accelerate launch --mixed_precision fp16 train.py", "fp16-amp"),
        ("python train.py --output_dir out --per_device_train_batch_size 1 --fp16", "fp16-amp"),
        ("python train.py", None),
    ],
)
def test_flags_of_a_command_decide_its_recipe(tmp_path: Path, command: str, recipe: str | None) -> None:
    facts = Facts(CodeFacts(project(tmp_path, {"train.py": "from transformers import Trainer\n"}, command)))
    recipes = recipes_of(facts) or recipes_of_launches(facts)
    assert next(iter(recipes.values()), None) == recipe


def test_fault_of_another_program_is_no_finding(tmp_path: Path) -> None:
    files = {"train.py": "import torch\nloss.backward()\n", "other.py": HALF}
    project(tmp_path, files, "python train.py")
    all_findings = apply_rules(LintTask(paths=(tmp_path,))).findings
    of_command = apply_rules(LintTask(paths=(tmp_path,), launches=(launch("python train.py"),))).findings
    assert {finding.path for finding in all_findings} >= {"other.py"}
    assert {finding.path for finding in of_command} <= {"train.py"}
