"""Precision in DeepSpeed's files: both dtypes on, hard-coded beside flags, or no bf16 block."""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.entry_points import given_to
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import infers_by_path
from vc2doctor.linter.detectors import trainer_flags
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import Config, ConfigEntry
from vc2doctor.linter.read.shell import Launch


def engine_flags(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield what contradicts the run, or itself, in DeepSpeed's files."""
    for config in unit.configs:
        if (
            config.kind != "json"
            or infers_by_path(config.name)
            or not any(entry.key.startswith(("zero_optimization", "train_micro_batch")) for entry in config.entries)
        ):
            continue
        half, bf16 = config.find("fp16.enabled"), config.find("bf16.enabled")
        if half is not None and bf16 is not None and half.value is True and bf16.value is True:
            yield build.at_entry(
                config,
                bf16,
                "VC106",
                Severity.ERROR,
                "this DeepSpeed configuration enables fp16 and bf16",
                evidence=(f"fp16 at {config.name}:{half.line}", "DeepSpeed asserts that they are not both on"),
                remedy='Set both to "auto", and decide by the run\'s flag.',
                url="https://www.deepspeed.ai/docs/config-json/#bfloat16-training-options",
                role="config",
            )
            continue
        if bf16 is None:
            yield from (_no_block(config, launch) for launch in unit.launches if _is_given(config, launch))
        for entry in (half, bf16):
            if entry is not None and entry.value is True and _has_flags(facts, unit):
                yield _hard_coded(unit, config, entry)


def _is_given(config: Config, launch: Launch) -> bool:
    """Say whether a launch trains in bfloat16 with this DeepSpeed file."""
    asked = "--bf16" in launch.flags and trainer_flags.is_on(launch.flags["--bf16"][0])
    return asked and "--deepspeed" in launch.flags and given_to(launch, config)


def _no_block(config: Config, launch: Launch) -> CodeFinding:
    return build.at_line(
        config.name,
        1,
        "VC106",
        Severity.WARNING,
        "this DeepSpeed configuration has no bf16 block, and is used with --bf16: the engine does not hear of it",
        evidence=(f"{launch.name}:{launch.flags['--bf16'][1]} --bf16",),
        remedy='Add "bf16": {"enabled": "auto"}.',
        url="https://huggingface.co/docs/transformers/deepspeed#data-precision",
        role="config",
    )


def _has_flags(facts: Facts, unit: Unit) -> bool:
    """Say whether the unit's precision is decided by flags of transformers' trainer."""
    flagged = any(flag in launch.flags for launch in unit.launches for flag in ("--bf16", "--fp16", "--tf32"))
    return flagged or any(
        base.endswith("TrainingArguments")
        for classes in unit.classes.values()
        for cls in classes
        for base in facts.code.bases(cls)
    )


def _hard_coded(unit: Unit, config: Config, entry: ConfigEntry) -> CodeFinding:
    mine = entry.key.partition(".")[0]
    other = "fp16" if mine == "bf16" else "bf16"
    base = config.name.rpartition("/")[2]
    against = [
        f"{launch.name}:{launch.flags[f'--{other}'][1]} --{other}"
        for launch in unit.launches
        if f"--{other}" in launch.flags
        and trainer_flags.is_on(launch.flags[f"--{other}"][0])
        and any(named.endswith(base) for named in launch.configs)
    ]
    return build.at_entry(
        config,
        entry,
        "VC106",
        Severity.ERROR if against else Severity.NOTE,
        f"{mine} is hard-coded on: a run with --{other} contradicts this file",
        evidence=tuple(against),
        remedy='Set it to "auto": it follows the run\'s own flag.',
        url="https://huggingface.co/docs/transformers/deepspeed#data-precision",
        role="config",
    ).model_copy(update={"line": max(1, entry.line - 1), "end_line": entry.line})
