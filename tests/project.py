"""A project of a user: an environment with a stack on paper, and a folder with training code."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Venv, make_venv

CLIPS_SCALED = """\
import torch
scaler = torch.cuda.amp.GradScaler()
for batch in loader:
    with torch.cuda.amp.autocast(dtype=torch.float16):
        loss = model(**batch).loss
    scaler.scale(loss).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
"""
"""Clips gradients while they are still scaled: VC105."""


class Project:
    """An environment with a stack on paper, and a folder with one file of code."""

    def __init__(self, folder: Path, code: str) -> None:
        self.folder = folder
        self.venv: Venv = make_venv(folder / "venv")
        self.venv.add_stack()
        self.work = folder / "work"
        self.work.mkdir()
        (self.work / "train.py").write_text(code, encoding="utf-8")
