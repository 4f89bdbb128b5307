"""Runs of transformers' trainer and of axolotl that train all weights in bfloat16, as their flags and files say."""

import re
from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.detectors.trained_dtype import MIN_KEPT_RATE
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.run_settings import RunSettings

_ADAPTER = re.compile(r"^(use_)?(peft|lora|qlora|dora)|^(adapter|train_type|finetuning_type)$|lora_(r|rank|alpha)$")
"""Names of flags and keys that ask for adapters."""
_MAKES_ADAPTERS = re.compile(r"\b(get_peft_model|LoraConfig|PeftModel|FastLanguageModel|requires_grad)\b")
"""What a program has in its text that may train other parameters than all of the loaded ones.

``get_peft_config`` of trl is none of it: it makes adapters only for ``--use_peft``.
"""
_ENGINES = ("fsdp", "deepspeed", "fsdp_config")
_URL = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html"
_AXOLOTL_URL = "https://github.com/axolotl-ai-cloud/axolotl/blob/main/src/axolotl/utils/config/__init__.py"


def pure_trainer_runs(facts: Facts) -> Iterator[CodeFinding]:
    """Yield the settings with which runs train all weights in bfloat16: one finding for each program (VC109)."""
    groups: dict[str, dict[CodePlace, str]] = defaultdict(dict)
    for unit in facts.code.units.values():
        for run in facts.runs.of(unit):
            place = _of_trainer(facts, run) or _of_axolotl(facts, run)
            # A file that no command names is started like its neighbors: with an engine, if they are.
            is_open = run.launch is None and any(
                each.launch and has_engine(facts, each) for each in facts.runs.of(unit)
            )
            if place is not None and not is_open:
                where, program = place
                groups[program].setdefault(where, program)
    for program, places in groups.items():
        first, *others = places
        yield build.at_line(
            first.path,
            first.line,
            "VC109",
            Severity.WARNING,
            "all weights are loaded in bfloat16 and trained without float32 copies: at a learning rate of 1e-5, "
            "85 % of them do not move",
            evidence=(f"{program} gets neither adapters nor DeepSpeed or FSDP here",),
            remedy="Load the weights in float32 and let bf16 compute in bfloat16, or train with DeepSpeed, which keeps "
            "float32 copies.",
            url=_AXOLOTL_URL if program == "axolotl" else _URL,
            role="config",
            also=tuple(others),
        )


def _of_trainer(facts: Facts, run: Run) -> tuple[CodePlace, str] | None:
    """Return where a command gives the dtype of the weights to a program that trains all of them."""
    launch = run.launch
    if launch is None or not run.modules or has_engine(facts, run) or _has_adapters(facts, run):
        return None
    settings = next((each for each in run.of("transformers") if _is_bfloat16(each)), None)
    program = [module for module in run.modules if module.name.endswith(launch.program.rpartition("/")[2])]
    # The program must hand the flag on, and must not choose parameters itself.
    hands_on = any("torch_dtype" in module.source.text or "dtype=" in module.source.text for module in program)
    if settings is None or settings.weights is None or not hands_on:
        return None
    if any(_MAKES_ADAPTERS.search(module.source.text) for module in run.modules) or _keeps_updates(facts, run):
        return None
    weights = settings.weights
    return CodePlace(path=weights.path, line=weights.line, end_line=weights.line), launch.program


def _is_bfloat16(settings: RunSettings) -> bool:
    is_given = settings.weights is not None and settings.weights.value == "bfloat16" and not settings.is_call
    return is_given and settings.quantization is None and settings.asking_for("fp16") is None


def _of_axolotl(facts: Facts, run: Run) -> tuple[CodePlace, str] | None:
    """Return where a file of axolotl asks for bfloat16 without an adapter: it loads the weights in that dtype."""
    settings = next(iter(run.of("axolotl")), None)
    if settings is None or settings.quantization is not None or settings.pure is not None:
        return None
    entry = facts.runs.entry(settings.path, "bf16")
    is_on = entry is not None and str(entry.value).lower() in ("true", "auto")
    if entry is None or not is_on or has_engine(facts, run) or _has_adapters(facts, run) or _keeps_updates(facts, run):
        return None
    return CodePlace(path=settings.path, line=entry.line, end_line=entry.line), "axolotl"


def has_engine(facts: Facts, run: Run) -> bool:
    """Return whether a run has an engine, or may get one from a file of accelerate that is not known."""
    launch = run.launch
    if run.engine is not None or any(name in run.flags for name in _ENGINES):
        return True
    for settings in run.settings:
        named = [facts.runs.entry(settings.path, name) for name in _ENGINES]
        if settings.engine is not None or "deepspeed" in settings.unknown or any(each and each.value for each in named):
            return True
    of_accelerate = [facts.runs.entry(each.path, "distributed_type") for each in run.of("accelerate")]
    kinds = {entry.value for entry in of_accelerate if entry is not None}
    is_open = launch is not None and launch.launcher == "accelerate" and not kinds
    return is_open or bool(kinds & {"DEEPSPEED", "FSDP"})


def _has_adapters(facts: Facts, run: Run) -> bool:
    """Return whether a flag or a key of a run asks for adapters, and is not off."""
    # A flag without a value is on; a key without one is off.
    given: dict[str, object] = {name: flag.value is None or flag.value for name, flag in run.flags.items()}
    for path in {settings.path for settings in run.settings}:
        given.update(facts.runs.keys_of(path))
    asked = (value for name, value in given.items() if _ADAPTER.search(name))
    return any(str(value).lower() not in ("false", "none", "null", "full", "") for value in asked)


def _keeps_updates(facts: Facts, run: Run) -> bool:
    """Return whether the learning rate is so large that bfloat16 keeps most updates, or cannot be read."""
    entries = (facts.runs.entry(settings.path, "learning_rate") for settings in run.settings)
    given = [entry.value for entry in entries if entry is not None]
    given += [flag.value for name, flag in run.flags.items() if name == "learning_rate"]
    rates = [rate for value in given if (rate := number(value)) is not None]
    return not rates or max(rates) >= MIN_KEPT_RATE


def number(value: object) -> float | None:
    """Return a flag or key as a number; ``None``: it is none."""
    try:
        return float(str(value))
    except ValueError:
        return None
