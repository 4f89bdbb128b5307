"""The quantized and FP8 formats that code uses are read from what it calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.quantized import formats_of
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.project import read_project

CASES = {
    "inference config": (
        "from torchao.quantization import Float8DynamicActivationFloat8WeightConfig as C\nquantize_(model, C())\n",
        ("torchao-dynamic-float8",),
    ),
    "training": (
        "from torchao.float8 import convert_to_float8_training\nconvert_to_float8_training(model)\n",
        ("torchao-float8-training",),
    ),
    "transformer engine": (
        "import transformer_engine.pytorch as te\nfrom transformer_engine.common import recipe as r\n\
with te.fp8_autocast(fp8_recipe=r.MXFP8BlockScaling()):\n    model(x)\n",
        ("te-fp8", "te-mxfp8"),
    ),
    "transformers": (
        "from transformers import BitsAndBytesConfig, GPTQConfig\nBitsAndBytesConfig(load_in_4bit=True)\n",
        ("bitsandbytes-4bit",),
    ),
    "own class": ("class GPTQConfig:\n    pass\nGPTQConfig()\n", ()),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_formats(name: str, tmp_path: Path) -> None:
    source, expected = CASES[name]
    (tmp_path / "train.py").write_text(source, encoding="utf-8")
    assert formats_of(Facts(CodeFacts(read_project((tmp_path,))))) == expected
