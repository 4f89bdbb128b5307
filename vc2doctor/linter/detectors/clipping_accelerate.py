"""DeepSpeed's settings in accelerate's own file that leave the limit of gradient clipping out."""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.api_target import target_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.detectors.clipping_keys import is_off
from vc2doctor.linter.detectors.clipping_runs import limit_of
from vc2doctor.linter.knowledge.api_table import load_table
from vc2doctor.linter.knowledge.deepspeed_releases import fills_missing_limit
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import Config
from vc2doctor.linter.read.run_settings import HALF, RunSettings

_BLOCK = "deepspeed_config"
_URL = "https://huggingface.co/docs/accelerate/usage_guides/deepspeed"


def accelerate_without_limit(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield files of accelerate whose release leaves DeepSpeed without the limit that the file does not give."""
    accelerate = _release(facts, unit)
    if accelerate is None or fills_missing_limit(accelerate) is not False:
        return
    configs = {config.name: config for config in facts.code.files.configs}
    reported: set[str] = set()
    for run in facts.runs.of(unit):
        for settings in run.of("accelerate"):
            config = configs.get(settings.path)
            if config is not None and config.name not in reported and _is_unlimited(run, settings, config):
                reported.add(config.name)
                yield _finding(config, accelerate)


def _release(facts: Facts, unit: Unit) -> str | None:
    """Return the release of accelerate that an installer takes for a unit; ``None``: nothing says which."""
    table = load_table()
    package = table.packages["accelerate"] if table is not None else None
    target = target_of(facts.code, unit.folder, package) if package is not None else None
    if package is None or target is None or target.certainty == "unnamed":
        return None
    return package.releases[target.newest]


def _is_unlimited(run: Run, settings: RunSettings, config: Config) -> bool:
    """Return whether DeepSpeed of a run in half precision gets its settings from a file without a limit."""
    keys = [entry.key.removeprefix(f"{_BLOCK}.") for entry in config.entries if entry.key.startswith(f"{_BLOCK}.")]
    has_limit = "gradient_clipping" in keys or "deepspeed_config_file" in keys or "gradient_clipping" in run.flags
    in_half = settings.precision in HALF or run.half is not None
    limit = limit_of(run)
    return bool(keys) and not has_limit and in_half and not (limit is not None and is_off(limit.value))


def _finding(config: Config, accelerate: str) -> CodeFinding:
    first = next(entry for entry in config.entries if entry.key.startswith(f"{_BLOCK}."))
    return build.at_entry(
        config,
        first,
        "VC105",
        Severity.WARNING,
        f"{_BLOCK} has no gradient_clipping, and accelerate {accelerate} then gives DeepSpeed none: nothing is clipped",
        evidence=("accelerate before 0.30 writes no limit that its file leaves out; DeepSpeed's own default is off",),
        remedy="Add gradient_clipping: 1.0 to the block, or install accelerate 0.30 or newer, which fills it.",
        url=_URL,
        role="config",
    )
