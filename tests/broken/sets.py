"""Draw sets of versions that really break, apply the first remedy, and train: ``nox -s remedy-truth``.

A set is broken if ``trainer_in_target.py`` fails in it, which knows nothing of the doctor. The doctor's answer does not
take part in the drawing.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.broken.brute_force import smaller_changes
from tests.facts import SHIPPED
from vc2doctor.core.versions import STACK_PACKAGES

_HERE = Path(__file__).resolve().parent
BASES = (
    {"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2"},
    {"torch": "2.13.0", "transformers": "5.8.0", "peft": "0.19.1", "accelerate": "1.12.0"},
    {"torch": "2.13.0", "transformers": "4.57.6", "peft": "0.18.1", "accelerate": "1.10.1"},
    {"torch": "2.13.0", "transformers": "4.49.0", "peft": "0.14.0", "accelerate": "1.3.0"},
    {"torch": "2.13.0", "transformers": "4.44.2", "peft": "0.12.0", "accelerate": "0.33.0"},
)
"""Sets that train, from which one package is drawn to be broken."""
CULPRITS = (
    "accelerate",
    "tokenizers",
    "huggingface-hub",
    "peft",
    "transformers",
    "safetensors",
    "torchao",
    "bitsandbytes",
    "numpy",
    "datasets",
    "trl",
    "jinja2",
)
_OPTIONAL = ("torchao", "bitsandbytes", "trl", "datasets")
"""Culprits that the base does not have, so that their own requirements are installed with them."""
MAX_DRAWS_PER_SET = 4
"""Releases of one culprit that are tried before the next one's turn: most of them break nothing."""
TIMEOUT = 600.0


class BrokenSet(NamedTuple):
    """One package of a set that trains, in a release that was drawn, installed as ``pip install --no-deps`` does."""

    base: dict[str, str]
    culprit: str
    release: str

    @property
    def name(self) -> str:
        return f"{self.culprit} {self.release} in transformers {self.base['transformers']}"


class Row(NamedTuple):
    """What the doctor made of a broken set."""

    name: str
    culprit: str
    brought: list[str]
    """The packages that the break changed or added: the culprit, and what the installer brought with it."""
    error: str
    verdict: str
    command: str
    changed: dict[str, str]
    after: str
    """``trains``, or the last line of what the training printed after the command."""
    after_verdict: str
    smaller: list[dict[str, str]]

    @property
    def faults(self) -> list[str]:
        """Why this row does not show what it should; empty: it does."""
        found = [] if self.verdict == "unfit" else [f"the doctor says {self.verdict!r}"]
        found += [] if self.command else ["no command"]
        found += [] if self.after == "trains" else [f"afterward: {self.after}"]
        found += [] if self.after_verdict == "fit" else [f"afterward, the doctor says {self.after_verdict!r}"]
        found += ["torch is changed"] if "torch" in self.changed else []
        found += [] if not self.changed or set(self.brought) & set(self.changed) else [f"{self.culprit} is not changed"]
        return found + [f"smaller: {changes}" for changes in self.smaller]


class Machine:
    """The folder in which environments are built, and the programs that run in them."""

    def __init__(self, folder: Path, interpreter: str) -> None:
        self.environment = folder / "set"
        self.python = self.environment / "bin" / "python"
        self._interpreter = interpreter
        self._variables = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
        self._base: dict[str, str] = {}

    def run(self, *command: str) -> tuple[int, str]:
        """Return the exit code and the output of a command."""
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT, env=self._variables, check=False
        )
        return result.returncode, result.stdout + result.stderr

    def build(self, broken: BrokenSet) -> bool:
        """Install a broken set; return whether its releases could be installed."""
        shutil.rmtree(self.environment, ignore_errors=True)
        self.run("uv", "venv", "--quiet", "--python", self._interpreter, str(self.environment))
        base = [
            f"{name}=={text}" for name, text in broken.base.items() if name != broken.culprit or name in STACK_PACKAGES
        ]
        if self._install(*base):
            return False
        self._base = self.versions()
        # Its own requirements come with an optional package; then the drawn release replaces what is there.
        beside = [f"{broken.culprit}=={broken.release}", *base] if broken.culprit in _OPTIONAL else []
        if beside and self._install(*beside) == 0:
            return True
        return self._install("--no-deps", f"{broken.culprit}=={broken.release}") == 0

    def _install(self, *words: str) -> int:
        return self.run("uv", "pip", "install", "--quiet", "--python", str(self.python), *words)[0]

    def train(self) -> str:
        """Return ``trains``, or the last line of the error."""
        code, output = self.run(str(self.python), str(_HERE / "trainer_in_target.py"))
        lines = output.strip().splitlines()
        return "trains" if code == 0 else (lines[-1] if lines else f"exit code {code}")

    def brought(self) -> list[str]:
        """Return the packages of the built set that are not those of its base."""
        return sorted(name for name, text in self.versions().items() if self._base.get(name) != text)

    def check(self, *options: str) -> dict[str, Any]:
        """Return the doctor's report on the environment."""
        doctor = (
            sys.executable,
            "-m",
            "vc2doctor",
            "check",
            "--fresh",
            "--python",
            str(self.environment),
            "--isolated",
        )
        _, output = self.run(*doctor, "--profile", "causal-lm", "--format", "json", *options)
        report: dict[str, Any] = json.loads(output[output.index("{") : output.rindex("}") + 1])
        return report

    def versions(self) -> dict[str, str]:
        """Return the installed versions by distribution."""
        _, output = self.run("uv", "pip", "list", "--python", str(self.python), "--format", "json")
        listed = json.loads(output[output.index("[") : output.rindex("]") + 1])
        return {entry["name"]: entry["version"] for entry in listed}


def draw(generator: random.Random) -> Iterator[BrokenSet]:
    """Yield candidates; each culprit comes equally often."""
    wheels = SHIPPED.wheels
    while True:
        for culprit in generator.sample(CULPRITS, len(CULPRITS)):
            for _ in range(MAX_DRAWS_PER_SET):
                base = generator.choice(BASES)
                releases = [
                    text
                    for text in wheels.ordered(culprit)
                    if wheels.releases[culprit][text].supports("3.11") and text != base.get(culprit)
                ]
                yield BrokenSet(base, culprit, generator.choice(releases))


def measure(broken: BrokenSet, error: str, machine: Machine) -> Row:
    """Ask the doctor, run its first command, and train again."""
    before, brought = machine.versions(), machine.brought()
    report = machine.check("--no-probe")
    if report["verdict"] != "unfit":
        report = machine.check()
    given = [text for finding in report["findings"] for text in finding["commands"] if "install" in text]
    command = given[0] if given else ""
    after, after_verdict, changed = "not run", "", {}
    if command:
        code, output = machine.run("bash", "-c", command)
        after = machine.train() if code == 0 else output.strip().splitlines()[-1]
        after_verdict = machine.check()["verdict"]
        changed = {name: text for name, text in machine.versions().items() if before.get(name, text) != text}
    asked = {name: text for name, text in changed.items() if f"{name}==" in command}
    smaller = smaller_changes(before, asked) if asked else []
    return Row(
        broken.name, broken.culprit, brought, error, report["verdict"], command, changed, after, after_verdict, smaller
    )
