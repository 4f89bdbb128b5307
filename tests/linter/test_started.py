"""Which files of a project are started."""

from __future__ import annotations

import pytest

from vc2doctor.linter.analyse.started import is_started, is_started_text
from vc2doctor.linter.read.module import module_of
from vc2doctor.linter.read.source import read_source

STARTED = (
    'if __name__ == "__main__":\n    run()\n',
    "if '__main__' == __name__:\n    run()\n",
    "import hydra\n@hydra.main(config_path='conf')\ndef run(cfg):\n    pass\n",
    "@ex.automain\ndef run():\n    pass\n",
    "import fire\nfire.Fire(run)\n",
    "def main():\n    pass\n\nmain()\n",
    "for batch in loader:\n    loss(batch).backward()\n",
    "trainer = SFTTrainer(model=model)\n",
)
IMPORTED = (
    "def main():\n    trainer = SFTTrainer(model=model)\n    trainer.train()\n",
    "import torch\n\nDTYPE = torch.float16\n",
    "class Model:\n    def fit(self):\n        return self.train()\n",
)


@pytest.mark.parametrize("text", STARTED)
def test_a_file_that_does_its_work_when_it_is_run_is_started(text: str) -> None:
    assert is_started(module_of(read_source("run.py", text.encode())))


@pytest.mark.parametrize("text", IMPORTED)
def test_a_file_with_definitions_alone_is_not_started(text: str) -> None:
    assert not is_started(module_of(read_source("lib.py", text.encode())))


def test_a_file_that_was_not_parsed_is_started_by_its_guard() -> None:
    assert is_started_text(STARTED[0])
    assert not is_started_text(IMPORTED[1])
