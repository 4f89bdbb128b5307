"""Precision in DeepSpeed's configuration: both dtypes on, a dtype hard-coded beside flags, or no bf16 block."""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.entry_points import launch_uses
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import Config, ConfigEntry, Launch

_TRANSFORMERS_URL = "https://huggingface.co/docs/transformers/deepspeed#data-precision"


def engine_flags(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield the settings in DeepSpeed's files that contradict the run or each other."""
    for config in unit.configs:
        if not _is_of_deepspeed(config) or is_inference_path(config.name):
            continue
        fp16, bf16 = config.find("fp16.enabled"), config.find("bf16.enabled")
        if fp16 is not None and bf16 is not None and fp16.value is True and bf16.value is True:
            yield _both_enabled(config, fp16, bf16)
            continue
        if bf16 is None:
            yield from (_no_bf16_block(config, launch) for launch in unit.launches if _trains_in_bf16(launch, config))
        for entry in (fp16, bf16):
            if entry is not None and entry.value is True and _has_flags(facts, unit):
                yield _hard_coded(unit, config, entry)


def _is_of_deepspeed(config: Config) -> bool:
    return config.read_by == "engine" and any(
        entry.key.startswith(("zero_optimization", "train_micro_batch")) for entry in config.entries
    )


def _both_enabled(config: Config, fp16: ConfigEntry, bf16: ConfigEntry) -> CodeFinding:
    return build.at_entry(
        config,
        bf16,
        "VC106",
        Severity.ERROR,
        "this DeepSpeed configuration enables fp16 and bf16",
        evidence=(f"fp16 at {config.name}:{fp16.line}", "DeepSpeed asserts that they are not both on"),
        remedy='Set both to "auto", and decide by the run\'s flag.',
        url="https://www.deepspeed.ai/docs/config-json/#bfloat16-training-options",
        role="config",
    )


def _trains_in_bf16(launch: Launch, config: Config) -> bool:
    """Return whether a launch trains in bfloat16 with this DeepSpeed file."""
    return launch.turns_on("--bf16") and "--deepspeed" in launch.flags and launch_uses(launch, config)


def _no_bf16_block(config: Config, launch: Launch) -> CodeFinding:
    return build.at_line(
        config.name,
        1,
        "VC106",
        Severity.WARNING,
        "this DeepSpeed configuration has no bf16 block, and is used with --bf16: the engine does not hear of it",
        evidence=(f"{launch.script}:{launch.flags['--bf16'].line} --bf16",),
        remedy='Add "bf16": {"enabled": "auto"}.',
        url=_TRANSFORMERS_URL,
        role="config",
    )


def _has_flags(facts: Facts, unit: Unit) -> bool:
    """Return whether flags of transformers' trainer decide the precision of a unit."""
    if any(flag in launch.flags for launch in unit.launches for flag in ("--bf16", "--fp16", "--tf32")):
        return True
    return any(
        base.endswith("TrainingArguments")
        for classes in unit.classes.values()
        for cls in classes
        for base in facts.code.base_names(cls)
    )


def _hard_coded(unit: Unit, config: Config, entry: ConfigEntry) -> CodeFinding:
    """Return the finding about a dtype that is hard-coded on: an error if a launch asks for the other dtype."""
    dtype = entry.key.partition(".")[0]
    other = "fp16" if dtype == "bf16" else "bf16"
    file_name = config.name.rpartition("/")[2]
    contradicting = [
        f"{launch.script}:{launch.flags[f'--{other}'].line} --{other}"
        for launch in unit.launches
        if launch.turns_on(f"--{other}") and any(path.endswith(file_name) for path in launch.config_paths)
    ]
    finding = build.at_entry(
        config,
        entry,
        "VC106",
        Severity.ERROR if contradicting else Severity.NOTE,
        f"{dtype} is hard-coded on: a run with --{other} contradicts this file",
        evidence=tuple(contradicting),
        remedy='Set it to "auto": it follows the run\'s own flag.',
        url=_TRANSFORMERS_URL,
        role="config",
    )
    # The line of `"bf16": {` is usually the one before `"enabled"`.
    return finding.model_copy(update={"line": max(1, entry.line - 1)})
