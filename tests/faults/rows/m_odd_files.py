"""M. One odd file among others: the others are linted, and the odd one is named or passed over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import HALF_LOOP

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_LINT = ("lint", ".")
_CODE = 'import torch\nfrom transformers import AutoModel\nmodel = AutoModel.from_pretrained("x", torch_dtype={})\n'


def _notebook(**changes: object) -> str:
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": ["x = 1"], **changes}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]})


@rows(
    "M",
    {
        "many_unary_operators": _CODE.format("-" * 1_000 + "1"),
        "a_number_of_many_digits": _CODE.format("9" * 6_000),
        "null_bytes": "x = 1\0\n",
        "an_unknown_encoding": "# coding: nosuch\nx = 1\n",
        "a_syntax_of_the_future": "type X[T: int = 3] = ~T\nlazy import torch\n",
        "an_f_string_within_f_strings": "x = " + "f'{" * 200 + "1" + "}'" * 200 + "\n",
        "a_form_feed_and_mixed_line_breaks": "import torch\x0c\r\nx = 1\rz = 2\n",
    },
    1,
    says="train.py",
    suite=("null_bytes",),
)
def module_with(scene: Scene, text: str) -> Command:
    """A Python file beside one with a fault."""
    scene.file("odd.py", text)
    scene.file("train.py", HALF_LOOP)
    return Command(_LINT)


@rows(
    "M",
    {
        "a_timestamp_that_is_none": "fp16: !!timestamp 'x'\n",
        "a_python_tag": "fp16: !!python/object/apply:os.system ['touch ../signs/owned']\n",
        "a_key_that_is_a_list": "? [a, b]\n: 1\n",
        "two_documents": "fp16: true\n---\nbf16: true\n",
        "only_a_tab": "\tfp16: true\n",
    },
    1,
    says="train.py",
)
def yaml_with(scene: Scene, text: str) -> Command:
    """A YAML file beside a module with a fault; nothing that it names is constructed."""
    scene.file("config.yaml", f"# fp16\n{text}")
    scene.file("accelerate.yaml", f"compute_environment: LOCAL_MACHINE\n{text}")
    scene.file("train.py", HALF_LOOP)
    return Command(_LINT)


@rows(
    "M",
    {
        "a_source_of_numbers": _notebook(source=[1, 2]),
        "cells_that_are_a_number": '{"cells": 3}',
        "lone_surrogates": '{"cells": [{"cell_type": "code", "source": "x = \'\\ud800\'"}]}',
        "nothing": "",
    },
    1,
    says="train.py",
)
def notebook_with(scene: Scene, text: str) -> Command:
    """A notebook beside a module with a fault."""
    scene.file("odd.ipynb", text)
    scene.file("train.py", HALF_LOOP)
    return Command(_LINT)


@rows(
    "M",
    {
        "a_list_at_the_top": "[]",
        "a_huge_number": '{"fp16": {"enabled": true, "initial_scale_power": 1e999}}',
        "a_number_of_many_digits": f'{{"train_batch_size": {"9" * 6000}}}',
        "types_that_are_wrong": '{"fp16": [], "bf16": "yes", "optimizer": 7, "gradient_clipping": {}}',
        "nan": '{"fp16": {"enabled": NaN}}',
    },
    0,
    1,
    says="train.py",
)
def json_with(scene: Scene, text: str) -> Command:
    """A DeepSpeed configuration beside a module with a fault."""
    scene.file("ds_config.json", text)
    scene.file("run.sh", "deepspeed train.py --deepspeed ds_config.json\n")
    scene.file("train.py", HALF_LOOP)
    return Command(_LINT)


@row("M", 1, says="train.py")
def odd_entries_of_a_folder(scene: Scene) -> Command:
    """Folders called like files, links without a target, a socket, and a link to the parent folder."""
    for name in ("a.py", "b.ipynb", "requirements.txt", "config.yaml"):
        scene.path(name).mkdir()
    scene.link("missing.py", "nosuch.py")
    scene.link("circle.py", "circle.py")
    scene.link("parent", "..")
    scene.file("train.py", HALF_LOOP)
    return Command(_LINT)


@row("M", 0, says="source code string cannot contain null bytes")
def named_module_that_is_no_python(scene: Scene) -> Command:
    """The only file that is named has null bytes: it is named, and nothing is called right."""
    scene.file("odd.py", "x = 1\0\n")
    return Command(("lint", "odd.py"))


@rows(
    "M",
    {
        "quote": "python train.py --bf16 'x\n",
        "substitution": "python train.py $(($((1",
        "here_document": "cat <<X\npython train.py --fp16\n",
        "backslashes": "python train.py \\\n\\\n\\",
    },
    1,
    says="train.py",
)
def shell_script_with_an_open(scene: Scene, text: str) -> Command:
    """A shell script ends within a construct."""
    scene.file("run.sh", text)
    scene.file("train.py", HALF_LOOP)
    return Command(_LINT)
