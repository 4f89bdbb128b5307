"""The doors that code goes through are read from what it calls and derives from."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.linter.analyse.code_use import use_of
from vc2doctor.linter.analyse.doors import doors_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.project import read_project

CASES = {
    "trainer": ("from transformers import Trainer\nTrainer(model=m).train()\n", ("trainer",)),
    "module": ("import transformers as hf\nhf.Seq2SeqTrainer(model=m)\n", ("trainer",)),
    "subclass": ("from transformers import Trainer\nclass Mine(Trainer):\n    pass\n", ("trainer",)),
    "long path": ("from trl.trainer.dpo_trainer import DPOTrainer\nDPOTrainer(m)\n", ("dpo",)),
    "two": ("import peft, trl\ntrl.SFTTrainer(peft.PeftModel.from_pretrained(m))\n", ("adapter", "sft")),
    "method": ("m.load_adapter('folder')\n", ("adapter",)),
    "accelerate": ("from accelerate import Accelerator\na = Accelerator()\n", ("accelerate",)),
    "ddp": ("from torch.nn.parallel import DistributedDataParallel as DDP\nDDP(m)\n", ("ddp",)),
    "lightning": ("import pytorch_lightning as pl\npl.Trainer(max_steps=1)\n", ("lightning",)),
    "star": ("from transformers import *\nTrainer(m)\n", ("trainer",)),
    "called on a call": ("load().load_adapter('folder')\n", ("adapter",)),
    "own class": ("class Trainer:\n    pass\nTrainer()\n", ()),
    "another package": ("from mmengine import Trainer\nTrainer()\n", ()),
    "import alone": ("from transformers import Trainer\n", ()),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_doors(name: str, tmp_path: Path) -> None:
    source, expected = CASES[name]
    (tmp_path / "train.py").write_text(source, encoding="utf-8")
    facts = Facts(CodeFacts(read_project((tmp_path,))))
    assert doors_of(facts, use_of(facts)) == expected
