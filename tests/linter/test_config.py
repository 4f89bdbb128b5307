"""Configurations of every kind are read, with the lines of their keys."""

from __future__ import annotations

import pytest

from vc2doctor.linter.read.config import UNKNOWN, Config
from vc2doctor.linter.read.formats.json import read_json
from vc2doctor.linter.read.formats.markdown import read_commands
from vc2doctor.linter.read.formats.shell import read_launches
from vc2doctor.linter.read.formats.yaml import read_yaml
from vc2doctor.linter.read.module import Module, module_of
from vc2doctor.linter.read.python_config import read_python
from vc2doctor.linter.read.source import read_source


def entries(config: Config | None) -> dict[str, tuple[object, int]]:
    """Return the value and the line of each key."""
    assert config is not None
    return {entry.key: (entry.value, entry.line) for entry in config.entries}


def module(text: str) -> Module:
    return module_of(read_source("c.py", text.encode()))


def test_python_module_of_settings_is_a_configuration() -> None:
    text = (
        "from base import *\n\nfp16 = True\noptimizer = dict(\n    lr=2e-5,\n    max_grad_norm=-1,\n)\n"
        'run = {"amp": False}\nsteps = lr * 2\n'
    )
    by_key = entries(read_python(module(text)))
    assert by_key["fp16"] == (True, 3)
    assert by_key["optimizer.max_grad_norm"] == (-1, 6)
    assert by_key["run.amp"] == (False, 8)
    assert by_key["steps"][0] is UNKNOWN


@pytest.mark.parametrize("text", ["def main():\n    pass\nfp16 = True\n", "class A:\n    fp16 = True\n", "\n"])
def test_python_code_is_no_configuration(text: str) -> None:
    assert read_python(module(text)) is None


def test_yaml_keys_have_lines_and_the_values_that_yaml_gives_them() -> None:
    by_key = entries(read_yaml("c.yaml", "run:\n  amp: True\n  fp16:\nbf16: 'no'\nlr: 1e-4\n"))
    assert by_key == {"run.amp": (True, 2), "run.fp16": (None, 3), "bf16": ("no", 4), "lr": ("1e-4", 5)}


def test_yaml_template_that_is_not_valid_is_read_by_lines() -> None:
    text = 'model:\n  path: "a" or "b"\nrun:\n  amp: True  # on\n  # fp16: True\n'
    by_key = entries(read_yaml("c.yaml", text))
    assert by_key["run.amp"] == (True, 4)
    assert "run.fp16" not in by_key


def test_json_keys_have_the_lines_of_their_order() -> None:
    text = '{\n  "fp16": {\n    "enabled": "auto"\n  },\n  "bf16": {\n    "enabled": true\n  }\n}\n'
    assert entries(read_json("ds.json", text)) == {"fp16.enabled": ("auto", 3), "bf16.enabled": (True, 6)}


@pytest.mark.parametrize(
    "text", ["", "- fp16\n", "fp16", "&a [*a]", "fp16: !!python/object:os.system x\n", "fp16: {" * 500, "\t"]
)
def test_odd_yaml_raises_nothing(text: str) -> None:
    read_yaml("c.yaml", text)


@pytest.mark.parametrize("text", ["", "[fp16]", '"fp16"', "{'fp16'}", '{"fp16":' * 3000])
def test_odd_json_is_no_configuration(text: str) -> None:
    assert read_json("c.json", text) is None


def test_launch_has_its_flags_and_configurations_with_variables_expanded() -> None:
    text = (
        "#!/bin/bash\nNORM=0.01\n# python old.py --fp16 True\n"
        "PYTHONPATH=. torchrun --nproc_per_node=8 \\\n    tasks/train.py \\\n    $(dirname $0)/config.py \\\n"
        "    --bf16 True --fp16=False \\\n    --flash \\\n    optimizer.max_grad_norm ${NORM}\necho done\n"
    )
    (launch,) = read_launches("run.sh", text)
    assert (launch.line, launch.program, launch.config_paths) == (4, "tasks/train.py", ("$(dirname $0)/config.py",))
    assert launch.flags["--bf16"] == ("True", 7)
    assert launch.flags["--fp16"] == ("False", 7)
    assert launch.flags["--flash"].line == 8
    assert launch.flags["optimizer.max_grad_norm"] == ("0.01", 9)


def test_launch_of_a_module_names_its_file() -> None:
    (launch,) = read_launches("run.sh", "python -m llava.train.train_mem --deepspeed ds.json --bf16 True\n")
    assert launch.program == "llava/train/train_mem.py"
    assert "ds.json" in launch.config_paths


def test_array_of_flags_gives_each_flag_its_own_line() -> None:
    text = (
        'ARGS=(\n  --output_dir out  # kept\n  --fp16 True\n)\nARGS+=(--max_grad_norm 0)\ntorchrun a.py "${ARGS[@]}"\n'
    )
    (launch,) = read_launches("run.sh", text)
    assert launch.flags["--fp16"] == ("True", 3)
    assert launch.flags["--max_grad_norm"] == ("0", 5)


def test_text_of_flags_over_several_lines_is_split_into_words() -> None:
    (launch,) = read_launches("run.sh", 'ARGS="\n  --bf16 True \\\n  --tf32 True\n"\ntorchrun a.py $ARGS\n')
    assert (launch.flags["--bf16"], launch.flags["--tf32"]) == (("True", 2), ("True", 3))


@pytest.mark.parametrize(
    "text",
    [
        "if [ $1 = a ]; then FP16=true; else FP16=false; fi\npython a.py --fp16 $FP16\n",
        "[ $1 = a ] && FP16=true\npython a.py --fp16 $FP16\n",
        "for FP16 in true false; do\n  python a.py --fp16 $FP16\ndone\n",
        "python a.py --fp16 $FP16\n",
        "FP16=$(cat choice)\npython a.py --fp16 $FP16\n",
    ],
)
def test_value_that_only_a_run_decides_is_not_known(text: str) -> None:
    (launch,) = read_launches("run.sh", text)
    assert not launch.flags["--fp16"].is_known
    assert not launch.turns_on("--fp16")


def test_variable_that_is_set_again_after_a_branch_is_known() -> None:
    text = "if true; then FP16=false; fi\nFP16=true\npython a.py --fp16 ${FP16} --bf16 ${BF16:-false}\n"
    (launch,) = read_launches("run.sh", text)
    assert launch.turns_on("--fp16")
    assert launch.flags["--bf16"].value == "false"


def test_flags_of_the_launcher_are_told_from_those_of_the_program() -> None:
    text = "accelerate launch --mixed_precision fp16 --multi_gpu train.py --mixed_precision bf16\n"
    (launch,) = read_launches("run.sh", text)
    assert (launch.launcher, launch.program) == ("accelerate", "train.py")
    assert launch.launcher_flags["--mixed_precision"].value == "fp16"
    assert launch.launcher_flags["--multi_gpu"].value is None
    assert launch.flags["--mixed_precision"].value == "bf16"


@pytest.mark.parametrize(
    ("text", "launcher", "program", "config_paths"),
    [
        ("#SBATCH --gres=gpu:8\nsrun --label torchrun --nnodes 2 a.py --x\n", "torchrun", "a.py", ()),
        ("srun bash -c 'cd x && python a.py --fp16'\n", "python", "a.py", ()),
        ("CMD='python a.py'\nsrun $CMD --x > log 2>&1 &\n", "python", "a.py", ()),
        ("swift sft --model m --torch_dtype float16\n", "swift", "swift sft", ()),
        (
            "FORCE_TORCHRUN=1 llamafactory-cli train examples/sft.yaml\n",
            "llamafactory-cli",
            "llamafactory-cli train",
            ("examples/sft.yaml",),
        ),
        ("accelerate launch -m axolotl.cli.train a.yml\n", "accelerate", "axolotl/cli/train.py", ("a.yml",)),
        ("xtuner train configs/a.py --deepspeed deepspeed_zero2\n", "xtuner", "xtuner train", ("configs/a.py",)),
        ("cd sub && python -m train\n", "python", "train.py", ()),
    ],
)
def test_launch_through_every_launcher_is_read(
    text: str, launcher: str, program: str, config_paths: tuple[str, ...]
) -> None:
    launch = read_launches("run.sh", text)[-1]
    assert (launch.launcher, launch.program, launch.config_paths) == (launcher, program, config_paths)


def test_override_of_hydra_is_a_flag_and_an_assignment_before_the_program_is_none() -> None:
    (launch,) = read_launches("run.sh", "FP16=1 python train.py trainer.precision=16 +model/dtype=float16\n")
    assert launch.flags["trainer.precision"].value == "16"
    assert launch.flags["model.dtype"].value == "float16"
    assert "FP16" not in launch.flags


def test_list_of_defaults_of_hydra_names_the_files_that_are_composed() -> None:
    config = read_yaml("c.yaml", "defaults:\n  - base\n  - trainer: gpu\n  - _self_\nprecision: 16\n")
    assert config is not None
    assert config.defaults == ("base", "trainer/gpu", "_self_")


@pytest.mark.parametrize("text", ["python 'unclosed.py --bf16", "\\", "python", "make train.py", "a b\\\n"])
def test_odd_scripts_raise_nothing(text: str) -> None:
    read_launches("run.sh", text)


README = """\
# Train

Set the flags as you need them:

~~~console
$ torchrun --nproc_per_node 2 train.py --fp16 True
    --max_grad_norm 1.0
~~~

```python
python other.py
```

python third.py
"""


def test_text_that_ends_with_a_backslash_inside_quotes_is_read_to_its_end() -> None:
    (launch,) = read_launches("README.md", 'accelerate launch train.py --name "a b\\')
    assert launch.program == "train.py"


def test_command_in_a_block_of_a_document_is_a_launch_and_a_forgotten_backslash_does_not_end_it() -> None:
    (launch,) = read_commands("README.md", README)
    assert (launch.program, launch.line, launch.is_documented) == ("train.py", 6, True)
    assert launch.flags["--max_grad_norm"].value == "1.0"


def test_assignment_to_a_tree_of_settings_is_a_key() -> None:
    config = read_python(
        module("from defaults import _C as cfg\ncfg.SOLVER.LR = 1e-3\ncfg.SOLVER.AMP.ENABLED = True\n")
    )
    assert entries(config) == {"SOLVER.LR": (1e-3, 2), "SOLVER.AMP.ENABLED": (True, 3)}


def test_command_in_a_code_span_on_a_line_of_its_own_is_a_launch() -> None:
    text = (
        "Start it:\n"
        "`python train.py --fp16 True`\n"
        "- `torchrun train.py --bf16`\n"
        "Use `python train.py --tf32 True` or nothing; `--fp16` is a flag.\n"
        "```python\n`python train.py --no`\n```\n"
    )
    launches = read_commands("docs/training.md", text)
    assert [(launch.line, sorted(launch.flags)) for launch in launches] == [(2, ["--fp16"]), (3, ["--bf16"])]
