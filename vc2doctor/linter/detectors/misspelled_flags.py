"""Flags and keys for transformers' trainer that are misspelled, so that the trainer keeps its default."""

from collections.abc import Iterator
from difflib import get_close_matches

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.knowledge.trainer_keys import TRAINER_KEYS
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import Launch

MIN_LIKENESS = 0.85
"""``difflib``'s likeness from which a name counts as a misspelling: "leraning_rate" has 0.92."""
_URL = "https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments"


def misspelled_flags(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield flags of commands that are like a field of ``TrainingArguments`` and are none."""
    for run in facts.runs.of(unit):
        launch = run.launch
        if launch is None or not run.is_of_trainer or not run.modules:
            continue
        for flag, given in launch.flags.items():
            name = flag.lstrip("-")
            meant = _meant(name) if launch.launcher_flags.get(flag) != given else None
            if meant is None or f"--{meant}" in launch.flags:
                continue
            own = unit.arguments.get(name)
            effect = (
                f"it fills a field of the program, and the trainer's {meant} keeps its default"
                if own
                else "the parser refuses it, or drops it where unknown flags are allowed"
            )
            yield build.at_line(
                launch.script,
                given.line,
                "VC106",
                Severity.WARNING if own else Severity.ERROR,
                f"{flag} is no field of the trainer's arguments: --{meant} is meant, and {effect}",
                evidence=tuple(build.place_of(each.function.module, each.default).location for each in (own or [])[:1]),
                remedy=f"Write --{meant}" + (", and remove the field with the wrong name." if own else "."),
                url=_URL,
                role="launch",
            )


def is_misspelled(launch: Launch, flag: str) -> bool:
    """Return whether a flag of a command is a misspelled field of the trainer, which has its own finding."""
    meant = _meant(flag.lstrip("-"))
    return meant is not None and f"--{meant}" not in launch.flags


def _meant(name: str) -> str | None:
    """Return the field that a name is meant to be; argparse accepts the beginning of a name, so that is no mistake."""
    if name in TRAINER_KEYS or any(key.startswith(name) for key in TRAINER_KEYS):
        return None
    without_marks = name.replace("_", "")
    same = next((key for key in TRAINER_KEYS if key.replace("_", "") == without_marks), None)
    if same is not None:
        # `--max_gradnorm`
        return same
    close = get_close_matches(name, TRAINER_KEYS, n=1, cutoff=MIN_LIKENESS)
    # `eval_steps` and `save_steps` differ in a word, not in a letter.
    is_letters = bool(close) and len(name.split("_")) == len(close[0].split("_")) and sorted_letters(name, close[0])
    return close[0] if is_letters else None


def sorted_letters(name: str, key: str) -> bool:
    """Return whether two names have the same letters but for one or two: letters are swapped, missing or doubled."""
    rest = list(key)
    extra = 0
    for letter in name:
        if letter in rest:
            rest.remove(letter)
        else:
            extra += 1
    return extra + len(rest) <= 1
