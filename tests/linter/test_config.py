"""Configurations of every kind, with the lines of their keys."""

from __future__ import annotations

import pytest

from vc2doctor.linter.read.config import UNKNOWN, Config
from vc2doctor.linter.read.json_config import of_json
from vc2doctor.linter.read.module import module_of
from vc2doctor.linter.read.python_config import of_python
from vc2doctor.linter.read.shell import launches
from vc2doctor.linter.read.source import read
from vc2doctor.linter.read.yaml_config import of_yaml


def entries(found: Config | None) -> dict[str, tuple[object, int]]:
    assert found is not None
    return {entry.key: (entry.value, entry.line) for entry in found.entries}


def test_a_python_module_of_settings() -> None:
    text = (
        "from base import *\n\nfp16 = True\noptimizer = dict(\n    lr=2e-5,\n    max_grad_norm=-1,\n)\n"
        'run = {"amp": False}\nsteps = lr * 2\n'
    )
    found = entries(of_python(module_of(read("c.py", text.encode()))))
    assert found["fp16"] == (True, 3)
    assert found["optimizer.max_grad_norm"] == (-1, 6)
    assert found["run.amp"] == (False, 8)
    assert found["steps"][0] is UNKNOWN


@pytest.mark.parametrize("text", ["def main():\n    pass\nfp16 = True\n", "class A:\n    fp16 = True\n", "\n"])
def test_code_is_no_configuration(text: str) -> None:
    assert of_python(module_of(read("c.py", text.encode()))) is None


def test_yaml_with_lines_and_values_as_yaml_has_them() -> None:
    found = entries(of_yaml("c.yaml", "run:\n  amp: True\n  fp16:\nbf16: 'no'\nlr: 1e-4\n"))
    assert found == {"run.amp": (True, 2), "run.fp16": (None, 3), "bf16": ("no", 4), "lr": ("1e-4", 5)}


def test_a_template_that_is_no_yaml_yet_is_read_by_lines() -> None:
    text = 'model:\n  path: "a" or "b"\nrun:\n  amp: True  # on\n  # fp16: True\n'
    found = entries(of_yaml("c.yaml", text))
    assert found["run.amp"] == (True, 4)
    assert "run.fp16" not in found


def test_json_with_lines_in_their_order() -> None:
    text = '{\n  "fp16": {\n    "enabled": "auto"\n  },\n  "bf16": {\n    "enabled": true\n  }\n}\n'
    assert entries(of_json("ds.json", text)) == {"fp16.enabled": ("auto", 3), "bf16.enabled": (True, 6)}


@pytest.mark.parametrize(
    "text", ["", "- fp16\n", "fp16", "&a [*a]", "fp16: !!python/object:os.system x\n", "fp16: {" * 500, "\t"]
)
def test_odd_yaml_is_read_or_left(text: str) -> None:
    of_yaml("c.yaml", text)


@pytest.mark.parametrize("text", ["", "[fp16]", '"fp16"', "{'fp16'}", '{"fp16":' * 3000])
def test_odd_json_is_left(text: str) -> None:
    assert of_json("c.json", text) is None


def test_a_launch_with_its_flags_files_and_variables() -> None:
    text = (
        "#!/bin/bash\nNORM=0.01\n# python old.py --fp16 True\n"
        "PYTHONPATH=. torchrun --nproc_per_node=8 \\\n    tasks/train.py \\\n    $(dirname $0)/config.py \\\n"
        "    --bf16 True --fp16=False \\\n    --flash \\\n    optimizer.max_grad_norm ${NORM}\necho done\n"
    )
    (launch,) = launches("run.sh", text)
    assert (launch.line, launch.program, launch.configs) == (4, "tasks/train.py", ("$0)/config.py",))
    assert launch.flags["--bf16"] == ("True", 7)
    assert launch.flags["--fp16"] == ("False", 7)
    assert launch.flags["--flash"][1] == 8
    assert launch.flags["optimizer.max_grad_norm"] == ("0.01", 9)


def test_a_module_can_be_launched() -> None:
    (launch,) = launches("run.sh", "python -m llava.train.train_mem --deepspeed ds.json --bf16 True\n")
    assert launch.program == "llava/train/train_mem.py"
    assert "ds.json" in launch.configs


@pytest.mark.parametrize("text", ["python 'unclosed.py --bf16", "\\", "python", "make train.py", "a b\\\n"])
def test_odd_scripts_are_read(text: str) -> None:
    launches("run.sh", text)
