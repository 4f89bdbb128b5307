"""DeepSpeed's file against the runs that name it: a hard-coded precision, or a block that is missing."""

from collections import defaultdict
from collections.abc import Collection, Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.knowledge.deepspeed_releases import adds_missing_block
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import Config, ConfigEntry
from vc2doctor.linter.read.launchers.deepspeed import BLOCKS, is_deepspeed
from vc2doctor.linter.read.run_settings import Precision, Setting

TRANSFORMERS_URL = "https://huggingface.co/docs/transformers/deepspeed#data-precision"
MAX_EVIDENCE = 3
"""Runs that one finding names. A repository can have dozens of scripts with the same file."""
_OTHER: dict[Precision, Precision] = {"fp16": "bf16", "bf16": "fp16"}


def engine_flags(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield the settings of DeepSpeed's files that contradict the runs that name the file by its path."""
    by_file: dict[str, list[Run]] = defaultdict(list)
    configs: dict[str, Config] = {}
    for run in facts.runs.of(unit):
        if run.engine is not None and not is_inference_path(run.engine.config.name):
            by_file[run.engine.config.name].append(run)
            configs[run.engine.config.name] = run.engine.config
    yield from (_hard_coded_finding(*unnamed, []) for unnamed in _unnamed(facts, unit, by_file.keys()))
    adds_block = adds_missing_block(facts.code.version(unit, "transformers"))
    for name, runs in by_file.items():
        yield from _hard_coded(configs[name], runs)
        if adds_block is not True:
            yield from _missing_block(configs[name], runs, is_certain=adds_block is False)


def asking(runs: list[Run], precision: Precision) -> list[Setting[Precision]]:
    """Return where runs ask for a precision, and for no other one."""
    halves = (run.half for run in runs)
    return [half for half in halves if half is not None and half.value == precision]


def evidence_of(settings: "list[Setting[Precision]]") -> tuple[str, ...]:
    """Return the places of settings as evidence: the first ones, and how many more there are."""
    more = len(settings) - MAX_EVIDENCE
    places = tuple(setting.place for setting in settings[:MAX_EVIDENCE])
    return (*places, f"and {more} more") if more > 0 else places


def _hard_coded(config: Config, runs: list[Run]) -> Iterator[CodeFinding]:
    """Yield a precision that the file turns on: an error if a run asks for the other one, else a note."""
    for entry, precision in _only_enabled(config):
        contradicting = asking(runs, _OTHER[precision])
        if contradicting or any(run.is_of_trainer for run in runs):
            yield _hard_coded_finding(config, entry, precision, contradicting)


def _only_enabled(config: Config) -> list[tuple[ConfigEntry, Precision]]:
    """Return the switch that is on, if it is the only one."""
    enabled = [(config.find(f"{block}.enabled"), precision) for block, precision in BLOCKS.items()]
    on = [(entry, precision) for entry, precision in enabled if entry is not None and entry.value is True]
    return on if len(on) == 1 else []


def _unnamed(facts: Facts, unit: Unit, named: Collection[str]) -> Iterator[tuple[Config, ConfigEntry, Precision]]:
    """Yield hard-coded precisions in files beside scripts that run transformers' trainer, and that nothing names.

    Such a file is an offer to the users of these scripts. A file that code or a configuration names belongs to them.
    """
    folders = {run.launch.script.rpartition("/")[0] for run in facts.runs.of(unit) if run.launch and run.is_of_trainer}
    for config in unit.configs:
        folder, _, file_name = config.name.rpartition("/")
        if config.name in named or folder not in folders or not is_deepspeed(config) or is_inference_path(config.name):
            continue
        texts = (entry.value for other in unit.configs for entry in other.entries if isinstance(entry.value, str))
        in_code = (module.source.text for module in unit.modules)
        if not any(text.endswith(file_name) for text in texts) and not any(file_name in text for text in in_code):
            yield from ((config, entry, precision) for entry, precision in _only_enabled(config))


def _hard_coded_finding(
    config: Config, entry: ConfigEntry, precision: Precision, contradicting: "list[Setting[Precision]]"
) -> CodeFinding:
    other = _OTHER[precision]
    finding = build.at_entry(
        config,
        entry,
        "VC106",
        Severity.ERROR if contradicting else Severity.NOTE,
        f"{precision} is hard-coded on, and the run that names this file asks for {other}"
        if contradicting
        else f"{precision} is hard-coded on: a run with {other} contradicts this file",
        evidence=evidence_of(contradicting),
        remedy='Set it to "auto": it follows the run\'s own flag.',
        url=TRANSFORMERS_URL,
        role="config",
    )
    # The line of `"bf16": {` is usually the one before `"enabled"`.
    return finding.model_copy(update={"line": max(1, entry.line - 1)})


def _missing_block(config: Config, runs: list[Run], *, is_certain: bool) -> Iterator[CodeFinding]:
    for precision in _OTHER:
        names = [block for block, meaning in BLOCKS.items() if meaning == precision]
        has_block = any(entry.key.startswith(f"{name}.") for name in names for entry in config.entries)
        asked = asking([run for run in runs if run.is_of_trainer], precision)
        if not has_block and asked:
            yield build.at_line(
                config.name,
                1,
                "VC106",
                Severity.WARNING if is_certain else Severity.NOTE,
                f"this DeepSpeed configuration has no {precision} block, and is used with {precision}:"
                " transformers before 4.30 does not tell the engine",
                evidence=evidence_of(asked),
                remedy=f'Add "{precision}": {{"enabled": "auto"}}.',
                url=TRANSFORMERS_URL,
                role="config",
            )
