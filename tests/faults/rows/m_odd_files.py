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
        "a_form_feed_on_every_line": HALF_LOOP.replace("\n", "\n\x0c"),
        "line_breaks_of_old_macs": HALF_LOOP.replace("\n", "\r"),
        "an_end_of_file_of_dos": f"{HALF_LOOP}\x1a",
        "surrogates_and_null_in_texts": _CODE.format('"float16\\ud800\\x00"') + 'x = "\\udcff\\x1b[31m"\n',
        "names_in_wide_letters": "import torch\n\uff4d = torch.\uff46loat16\ns = '\u2028'\n",
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
        "null": "null",
        "an_infinite_number": "1e999",
        "a_source_of_nan": '{"cells": [{"cell_type": "code", "source": NaN}]}',
        "a_source_that_is_an_object": _notebook(source={"a": 1}),
        "no_source": _notebook(source=None),
        "a_type_that_is_a_number": _notebook(cell_type=5),
        "cells_of_many_types": '{"cells": [null, 1, "x", []]}',
        "cells_twice": f'{{"cells": [], {_notebook()[1:]}',
        "worksheets_of_old_versions": '{"worksheets": [{"cells": [{"cell_type": "code", "input": ["x = 1"]}]}]}',
        "ten_thousand_levels": '{"cells": ' + "[" * 10_000,
        "a_byte_order_mark": f"\ufeff{_notebook()}",
        "shell_commands": _notebook(source=["!touch ../signs/owned\n", "%run x.py\n", "x = 1"]),
        "a_kernel_of_another_language": '{"cells": [], "metadata": {"kernelspec": [1], "language_info": "R"}}',
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
    scene.link("memory.py", "/proc/self/mem")
    scene.link("top", "/")
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


_CIRCLE = """from .{other} import *
from . import {other} as {own}
class C(C): pass
class D(E): pass
class E(D):
    def f(self, x=None):
        with self.maybe_autocast(): return self.f(self.f)
x = y
y = x
def f(d=lambda: f()): return f(f)
dtype = alias if dtype else alias
alias = dtype
model = AutoModelForCausalLM.from_pretrained(model, torch_dtype=dtype)
"""


@rows("M", {"lint": "lint", "needs": "needs"}, 0, 1, 3)
def modules_in_a_circle(scene: Scene, verb: str) -> Command:
    """Modules import each other, classes are their own bases, and names are each other's values."""
    scene.file("package/__init__.py")
    scene.file("package/a.py", _CIRCLE.format(own="a", other="b"))
    scene.file("package/b.py", _CIRCLE.format(own="b", other="a"))
    scene.file("train.py", f"from package.a import *\n{HALF_LOOP}")
    return Command((verb, "."))


@rows("M", {"lint": "lint", "needs": "needs"}, 0, 1, 3)
def configurations_in_a_circle(scene: Scene, verb: str) -> Command:
    """Requirements, configurations, anchors and shell scripts include themselves."""
    scene.file("requirements.txt", "-r requirements.txt\n-r ./requirements.txt\n-c requirements.txt\n")
    scene.file("c.py", '_base_ = ["./c.py", "./d.py"]\nfp16 = dict(loss_scale=512.)\n')
    scene.file("d.py", '_base_ = "./c.py"\n')
    scene.file("conf/a.yaml", "defaults:\n  - a\n  - conf: b\n  - _self_\nfp16: true\n")
    scene.file("conf/b.yaml", "defaults: [a, b]\n")
    scene.file("circle.yaml", "a: &x\n  b: *x\n  <<: *x\nfp16: true\n")
    scene.file("ds.json", '{"fp16": {"enabled": true}, "zero": "ds.json"}')
    lines = ("source $0", ". ./run.sh", "bash run.sh", "X=$Y; Y=$X", "python train.py --deepspeed ds.json $X")
    scene.file("run.sh", "\n".join((*lines, "accelerate launch --config_file circle.yaml train.py --fp16 $X\n")))
    scene.file("train.py", HALF_LOOP)
    return Command((verb, "."))


@row("M", 0, 1, 2)
def fix_beside_a_notebook_that_cannot_be_read(scene: Scene) -> Command:
    """`lint --fix` of a folder with notebooks of odd shape: they stay as they are."""
    scene.file("a.ipynb", _notebook(source={"a": 1}))
    scene.file("b.ipynb", '{"cells": ' + "[" * 10_000)
    scene.file("c.ipynb", '{"cells": [{"cell_type": "code", "source": "m.half() # \\ud800"}]}')
    return Command(("lint", "--fix", "--precision", "bf16", "--allow-dirty", "."))
