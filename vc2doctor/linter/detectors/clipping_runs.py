"""Gradient clipping of runs: a limit that is off, and DeepSpeed files that get no limit or another one."""

from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.half_models import engine_loops
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.analyse.stage import is_inference_config
from vc2doctor.linter.detectors.clipping_keys import CLIPPING_URL, NEGATIVE_LIMIT, is_off
from vc2doctor.linter.knowledge.deepspeed_releases import meant_top_key
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.config import Config
from vc2doctor.linter.read.launchers.deepspeed import BLOCKS, line_of_half_block
from vc2doctor.linter.read.module import Class, Module, last_name
from vc2doctor.linter.read.run_settings import Precision, Setting

_ENGINE_URL = "https://www.deepspeed.ai/docs/config-json/#gradient-clipping"
_ENGINE_DEFAULT = (
    'transformers and accelerate fill only values that are "auto"; DeepSpeed\'s own default is 0, which is off'
)
DEFAULT_OF_TRAINER = 1.0
"""``TrainingArguments.max_grad_norm``: https://huggingface.co/docs/transformers/main_classes/trainer"""
_BATCH_KEYS = ("gradient_accumulation_steps", "train_batch_size", "train_micro_batch_size_per_gpu")
_LIMITS_OF_ENGINE = ("clip_grad", "gradient_clipping", "grad_clip")
"""Texts of code that limits gradients, or gives the engine a limit."""
MAX_EVIDENCE = 3
"""Runs that one finding names."""


def clipping_of_runs(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield runs in half precision whose gradients are not clipped, or whose engine refuses the limit."""
    limits: dict[tuple[str, int], Setting[float]] = {}
    by_file: dict[str, list[Run]] = defaultdict(list)
    for run in facts.runs.of(unit):
        limit = limit_of(run)
        if limit is not None and is_off(limit.value) and _is_in_half(run) and _engine_limit(run) is None:
            limits[limit.path, limit.line] = limit
        if run.engine is not None and not is_inference_config(run.engine.config.name):
            by_file[run.engine.config.name].append(run)
    yield from (_limit_is_off(limit) for limit in limits.values())
    own_loops = _loops_without_clipping(facts, unit)
    for runs in by_file.values():
        yield from _of_engine(runs, own_loops)
    for config in unit.configs:
        if config.name not in by_file and _is_half_without_limit(facts, config, has_own_loop=bool(own_loops)):
            yield _no_limit_if_used(config, _named_in(own_loops, config))


def _loops_without_clipping(facts: Facts, unit: Unit) -> frozenset[Module]:
    """Return the modules with loops of their own over DeepSpeed's engine, if nothing in their imports says "clip"."""
    modules = {loop.function.module for loop in engine_loops(facts, unit)}
    closures = {module: facts.code.import_closure(module) for module in modules}
    return frozenset(
        module
        for module, closure in closures.items()
        if not any(name in each.source.text for each in closure for name in _LIMITS_OF_ENGINE)
    )


def _named_in(modules: frozenset[Module], config: Config) -> Module | None:
    """Return the module that names the file of an engine."""
    file_name = config.name.rpartition("/")[2]
    return next((module for module in modules if file_name in module.source.text), None)


def _is_half_without_limit(facts: Facts, config: Config, *, has_own_loop: bool) -> bool:
    """Return whether a DeepSpeed file of a trainer, or of a loop that clips nothing, can be half, without a limit."""
    settings = facts.runs.settings_of(config)
    if settings is None or settings.launcher != "deepspeed" or is_inference_config(config.name):
        return False
    in_half = any(config.get(f"{block}.enabled") in (True, "auto") for block in BLOCKS)
    # Only transformers and accelerate fill "auto"; a program of its own can clip by itself.
    is_of_trainer = any(entry.value == "auto" for entry in config.entries)
    limits = [each for each in config.entries if meant_top_key(each.key) == "gradient_clipping"]
    return in_half and (is_of_trainer or has_own_loop) and not limits and config.find("gradient_clipping") is None


def _no_limit_if_used(config: Config, named_in: Module | None) -> CodeFinding:
    return build.at_line(
        config.name,
        line_of_half_block(config),
        "VC105",
        Severity.WARNING if named_in is not None else Severity.NOTE,
        "this DeepSpeed file has no gradient_clipping: a run with it clips nothing, whatever its max_grad_norm is",
        evidence=(
            f"named in {named_in.name}, whose loop does not clip"
            if named_in is not None
            else "no command that could be read names the file by its path",
            _ENGINE_DEFAULT,
        ),
        remedy='Add "gradient_clipping": "auto".',
        url=_ENGINE_URL,
        role="config",
        also=_beside(config),
    )


def _beside(config: Config) -> tuple[CodePlace, ...]:
    """Return the line of the first key of the batch at the top of an engine's file: the missing key belongs there."""
    lines = [entry.line for entry in config.entries if entry.key in _BATCH_KEYS]
    return (CodePlace(path=config.name, line=min(lines), end_line=max(lines)),) if lines else ()


def _ignored_limits(runs: list[Run]) -> tuple[CodePlace, ...]:
    """Return the flags and keys with a limit that does not reach the engine."""
    limits = dict.fromkeys(limit for run in runs if (limit := limit_of(run)) is not None)
    return tuple(CodePlace(path=limit.path, line=limit.line, end_line=limit.line) for limit in limits)


def limit_of(run: Run) -> Setting[float] | None:
    """Return the limit that a run gives its trainer; a flag of the command wins over a file.

    The calls of a command's program are runs of their own: it can have several.
    """
    limits = [
        settings.clipping
        for settings in run.settings
        if settings.clipping is not None
        and settings.launcher != "deepspeed"
        and not (settings.is_call and run.launch is not None)
    ]
    return min(limits, key=lambda limit: not limit.text.startswith("--"), default=None)


def _is_in_half(run: Run) -> bool:
    """Return whether a run computes in a half precision, by its own settings or by its engine's file."""
    if run.half is not None or any(settings.pure is not None for settings in run.settings):
        return True
    return run.engine is not None and any(
        run.engine.config.get(f"{block}.enabled") is True for block in ("fp16", "bf16", "bfloat16")
    )


def _engine_limit(run: Run) -> float | None:
    """Return the limit that the engine's file itself gives, if it is a number."""
    value = run.engine.config.get("gradient_clipping") if run.engine is not None else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _limit_is_off(limit: Setting[float]) -> CodeFinding:
    name = limit.text.split()[0].strip("-:")
    return build.at_line(
        limit.path,
        limit.line,
        "VC105",
        Severity.WARNING,
        f"{name} is {limit.value:g}: gradients are not clipped, in half precision",
        evidence=(NEGATIVE_LIMIT,) if limit.value < 0 else (),
        remedy="Set it to a positive limit, for example 1.0.",
        url=CLIPPING_URL,
        role="launch" if limit.text.startswith("--") else "config",
    )


def _of_engine(runs: list[Run], own_loops: frozenset[Module]) -> Iterator[CodeFinding]:
    """Yield what is wrong with the limit in the file that some runs share.

    A run with a loop of its own counts if that loop is one of ``own_loops``, which do not clip.
    """
    first = runs[0].engine
    if first is None:
        return
    config = first.config
    entry = config.find("gradient_clipping")
    of_library = [
        run
        for run in runs
        if (run.is_of_trainer or run.of("accelerate") or run.modules & own_loops) and not _clips_itself(run)
    ]
    in_half = [run for run in of_library if _is_in_half(run)]
    unlimited = [run for run in in_half if not _is_off_on_purpose(run)]
    is_misspelled = any(meant_top_key(each.key) == "gradient_clipping" for each in config.entries)
    if entry is None and unlimited and not is_misspelled:
        yield _no_limit(config, unlimited)
    elif entry is not None and is_off(entry.value) and in_half:
        yield build.at_entry(
            config,
            entry,
            "VC105",
            Severity.WARNING,
            f"gradient_clipping is {entry.value}: DeepSpeed does not clip the gradients, in half precision",
            evidence=_named_at(in_half),
            remedy='Set it to "auto", which takes the trainer\'s max_grad_norm, or to a positive limit.',
            url=_ENGINE_URL,
        )
    elif entry is not None:
        yield from (_another_limit(config, entry.line, run, limit) for run, limit in _with_another_limit(runs))


def _clips_itself(run: Run) -> bool:
    """Return whether the program has an optimizer that takes the limit, as one that steps in the backward pass must."""
    return any(_takes_limit(cls) for module in run.modules for cls in module.classes.values())


def _takes_limit(cls: Class) -> bool:
    initializer = cls.methods.get("__init__")
    is_optimizer = any(last_name(base) == "Optimizer" for base in cls.node.bases)
    return is_optimizer and initializer is not None and any("clip" in name for name in initializer.parameters())


def _is_off_on_purpose(run: Run) -> bool:
    limit = limit_of(run)
    return limit is not None and is_off(limit.value)


def _named_at(runs: list[Run]) -> tuple[str, ...]:
    places = list(dict.fromkeys(run.engine.named_at.place for run in runs if run.engine is not None))
    more = len(places) - MAX_EVIDENCE
    return (*places[:MAX_EVIDENCE], f"and {more} more") if more > 0 else tuple(places)


def _asked_by(runs: list[Run]) -> Precision | None:
    """Return the half precision that runs of one file ask for; ``None``: they ask for none, or for several."""
    asked = {run.half.value for run in runs if run.half is not None}
    return asked.pop() if len(asked) == 1 else None


def _no_limit(config: Config, runs: list[Run]) -> CodeFinding:
    effect = "nothing is clipped"
    if runs[0].is_of_trainer:
        effect = "max_grad_norm does not reach the engine, and nothing is clipped"
    elif runs[0].of("accelerate"):
        effect = "the limit of accelerate does not reach the engine, and nothing is clipped"
    return build.at_line(
        config.name,
        line_of_half_block(config, _asked_by(runs)),
        "VC105",
        Severity.WARNING,
        f"this DeepSpeed file has no gradient_clipping: {effect}",
        evidence=(
            *_named_at(runs),
            _ENGINE_DEFAULT,
        ),
        remedy='Add "gradient_clipping": "auto".',
        url=_ENGINE_URL,
        role="config",
        also=(*_beside(config), *_ignored_limits(runs)),
    )


def _with_another_limit(runs: list[Run]) -> Iterator[tuple[Run, str]]:
    """Yield the runs of transformers' trainer whose ``max_grad_norm`` is not the limit of the file."""
    for run in runs:
        engine_limit, limit = _engine_limit(run), limit_of(run)
        if engine_limit is None or not run.of("transformers"):
            continue
        if limit is not None and limit.value != engine_limit:
            yield run, limit.place
        elif limit is None and engine_limit != DEFAULT_OF_TRAINER and _has_default(run):
            yield run, f"no max_grad_norm is given, and its default is {DEFAULT_OF_TRAINER}"


def _has_default(run: Run) -> bool:
    """Return whether nothing in the program can set ``max_grad_norm``."""
    is_unknown = any("max_grad_norm" in settings.unknown for settings in run.settings)
    return bool(run.modules) and not is_unknown and all("max_grad_norm" not in each.source.text for each in run.modules)


def _another_limit(config: Config, line: int, run: Run, evidence: str) -> CodeFinding:
    return build.at_line(
        config.name,
        line,
        "VC105",
        Severity.ERROR,
        "gradient_clipping of this DeepSpeed file is not the max_grad_norm of the run: transformers raises ValueError",
        evidence=(*_named_at([run]), evidence, 'transformers compares every value that is not "auto" with its own'),
        remedy='Set it to "auto", which takes the trainer\'s max_grad_norm.',
        url="https://huggingface.co/docs/transformers/deepspeed",
        role="config",
    )
