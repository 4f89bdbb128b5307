"""What a check takes from the code of a project."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.commands import code
from vc2doctor.commands.settings import SettingsSource
from vc2doctor.core.invocation import Invocation

PLAIN = "from transformers import Trainer\nTrainer(model=None).train()\n"


@pytest.mark.parametrize(
    ("files", "mentions"),
    [
        ({"train.py": PLAIN}, False),
        ({"train.py": f"{PLAIN}DPOTrainer(peft_config=None)\n"}, False),
        ({"train.py": f"{PLAIN}DPOTrainer(peft_config=config)\n"}, True),
        ({"train.py": f"{PLAIN}from peft import LoraConfig\n"}, True),
        ({"train.py": f"{PLAIN}model.load_adapter('a')\n"}, True),
        ({"train.py": PLAIN, "config.yaml": "bf16: true\nuse_peft: true\n"}, True),
        ({"train.py": PLAIN, "run.sh": "python train.py --bf16 --lora_r 8\n"}, True),
        ({"train.py": PLAIN, "requirements.txt": "transformers\npeft\n"}, True),
    ],
)
def test_code_mentions_adapters_wherever_it_asks_for_them(
    tmp_path: Path, files: dict[str, str], *, mentions: bool
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    reading = code.read(tmp_path, {}, SettingsSource(isolated=True), Invocation())
    assert reading.mentions_adapters is mentions
