"""AG. Functions of `--entry` that are none, are hostile, or end Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import needs_stack

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_MODEL = """import os, sys, threading, time
import torch

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x).square().mean()

def good():
    return Model(), torch.randn(2, 4)

def build():
"""
_WORDS = ("probe", "--recipes", "bf16", "--timeout", "120", "--entry")


@rows(
    "AG",
    {
        "without_a_file": "missing.py:build",
        "without_a_function": "model.py:",
        "without_a_place": ":build",
        "in_a_folder": "folder.py:build",
        "in_a_pipe": "pipe.py:build",
        "in_an_endless_device": "zero.py:build",
    },
    2,
    says="--entry",
    suite=("in_a_pipe",),
)
def entry(scene: Scene, words: str) -> Command:
    """The function is not in a file."""
    scene.file("model.py")
    scene.path("folder.py").mkdir()
    scene.fifo("pipe.py")
    scene.link("zero.py", "/dev/zero")
    return Command(("probe", "--entry", words, "--python", scene.target()))


@rows(
    "AG",
    {
        "that_is_no_text": b"\xff\xfe\x00",
        "with_a_null_byte": b"x = 1\x00\n",
        "with_a_wrong_syntax": b"def build(:\n",
        "that_ends_python": b"raise SystemExit(0)\n",
        "without_the_function": b"builds = 1\n",
    },
    1,
    2,
    3,
    says="model.py",
    says_not="Fit to train",
)
def file_of_an_entry(scene: Scene, content: str | bytes) -> Command:
    """The file of the function cannot be imported, or ends Python."""
    python = needs_stack()
    scene.file("model.py", content)
    return Command((*_WORDS, "model.py:build", "--python", python), variables={"PYTHONDONTWRITEBYTECODE": "1"})


@rows(
    "AG",
    {
        "ends_python": "os._exit(0)",
        "raises_a_system_exit": "sys.exit(0)",
        "returns_four_things": "return (*good(), None, None)",
        "returns_nothing_to_train": "return torch.nn.ReLU(), torch.randn(2, 4)",
        "is_a_generator": "yield 1",
        "closes_all_descriptors": "os.closerange(3, 4096); return good()",
    },
    1,
    2,
    3,
    says_not="Fit to train",
)
def function_that(scene: Scene, body: str) -> Command:
    """The function misbehaves."""
    python = needs_stack()
    scene.file("model.py", f"{_MODEL}    {body}\n")
    return Command((*_WORDS, "model.py:build", "--python", python), variables={"PYTHONDONTWRITEBYTECODE": "1"})


@row("AG", 0, 1, 3, says_not=("\x1b", "\x07"))
def function_that_floods_the_output(scene: Scene) -> Command:
    """The function prints escape sequences, and megabytes of text."""
    python = needs_stack()
    scene.file("model.py", f"{_MODEL}    print('\\x1b]0;owned\\x07' * 1_000_000)\n    return good()\n")
    return Command((*_WORDS, "model.py:build", "--python", python), variables={"PYTHONDONTWRITEBYTECODE": "1"})


@row("AG", 0, 1, 3)
def function_that_leaves_a_thread(scene: Scene) -> Command:
    """The function starts a thread that never ends, in a folder that it removes; it is called for each recipe."""
    python = needs_stack()
    body = "threading.Thread(target=time.sleep, args=(1000,)).start()\n    os.mkdir('gone'); os.chdir('gone')"
    scene.file("model.py", f"{_MODEL}    {body}; os.rmdir('../gone')\n    return good()\n")
    return Command((*_WORDS, "model.py:build", "--python", python), variables={"PYTHONDONTWRITEBYTECODE": "1"})
