"""Trainers that clip nothing unless a limit is set: trl's old PPO, and mmengine's wrapper of an optimizer."""

import ast
import re
from collections.abc import Iterator

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.analyse.trainer_calls import is_of_lightning, settings_of_call
from vc2doctor.linter.detectors.clipping_keys import CLIPPING_URL, is_off
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.arguments import arguments_of
from vc2doctor.linter.read.module import Call, Class, Place
from vc2doctor.linter.read.run_settings import HALF, RunSettings

_PPO_WITHOUT_LIMIT = SpecifierSet("<0.12")
"""Releases of trl whose ``PPOConfig.max_grad_norm`` is ``None`` by default (read in the wheels of 0.5.0 and 0.11.4)."""
_OLD_PPO_ARGUMENTS = frozenset(
    {"steps", "model_name", "log_with", "init_kl_coef", "adap_kl_ctrl", "ppo_epochs", "optimize_cuda_cache"}
)
"""Arguments of ``PPOConfig`` that only those releases take (read in the wheels of 0.11.4 and 0.12.0)."""
_MANUAL = re.compile(r"automatic_optimization\s*=\s*False")
"""What a module of Lightning has that steps its optimizers itself: the trainer refuses a limit there."""
_LIGHTNING_URL = "https://lightning.ai/docs/pytorch/stable/advanced/training_tricks.html#gradient-clipping"
_PPO_URL = "https://huggingface.co/docs/trl/v0.11.4/en/trainer#trl.PPOConfig"


def clipping_never_asked(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield configurations of old PPO without a limit, and mmengine's float16 wrapper without ``clip_grad``."""
    for call in unit.calls.get("PPOConfig", []):
        if _is_old_ppo(facts, unit, call) and not is_inference_path(call.place.module.name):
            yield _ppo_without_limit(call, is_pinned=facts.code.version(unit, "trl") is not None)
    for classes in unit.classes.values():
        for cls in classes:
            if any(base.endswith("TrainingArguments") for base in facts.code.base_names(cls)):
                yield from _default_that_is_off(facts, cls)
    yield from _of_runs(facts, unit)
    for call in unit.calls.get("Trainer", []):
        yield from _limit_in_one_branch(facts, call)


def _limit_in_one_branch(facts: Facts, call: Call) -> Iterator[CodeFinding]:
    """Yield the limit of a Lightning trainer that a condition takes away: ``None if args.use_fsdp else 1.0``."""
    limit, settings = call.argument("gradient_clip_val"), settings_of_call(facts.values, call)
    if settings is None or settings.precision not in HALF or not isinstance(limit, ast.IfExp):
        return
    branches = [branch for branch in (limit.body, limit.orelse) if isinstance(branch, ast.Constant)]
    if is_of_lightning(call) and any(branch.value is None or is_off(branch.value) for branch in branches):
        yield build.at_node(
            call.place.module,
            limit,
            "VC105",
            Severity.NOTE,
            f"gradient_clip_val is {build.code(limit)}: in one case nothing is clipped, in half precision",
            evidence=(settings.precisions[0].place,),
            remedy="Give a limit in both cases, or clip in configure_gradient_clipping.",
            url=_LIGHTNING_URL,
        )


def _of_runs(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield Lightning's trainer and mmengine's wrapper in half precision without a limit, each once."""
    reported: set[str] = set()
    for run in facts.runs.of(unit):
        for settings in run.of("lightning"):
            if not _is_half_without_limit(settings) or settings.precisions[0].place in reported:
                continue
            if not _steps_by_itself(run) and not _clips_by_itself(facts, run, settings):
                reported.add(settings.precisions[0].place)
                yield _run_without_limit(
                    settings,
                    f"Lightning trains in {settings.precision} and has no gradient_clip_val: nothing is clipped",
                    remedy="Pass gradient_clip_val=1.0 to the Trainer.",
                    url=_LIGHTNING_URL,
                )
        for settings in run.of("mmengine"):
            if _is_half_without_limit(settings):
                yield _run_without_limit(
                    settings,
                    f"the optimizer wrapper computes in {settings.precision} and has no clip_grad: nothing is clipped",
                    remedy="Add clip_grad=dict(max_norm=1.0) to optim_wrapper.",
                    url=CLIPPING_URL,
                )


def _is_half_without_limit(settings: RunSettings) -> bool:
    """Return whether a run asks for a half precision and for no limit; an unknown limit is no missing one."""
    is_unknown = any("clip" in name for name in settings.unknown)
    return settings.precision in HALF and settings.clipping is None and not is_unknown


def _run_without_limit(settings: RunSettings, message: str, *, remedy: str, url: str) -> CodeFinding:
    asked = settings.precisions[0]
    return build.at_line(
        asked.path, asked.line, "VC105", Severity.NOTE, message, evidence=(asked.place,), remedy=remedy, url=url
    )


def _steps_by_itself(run: Run) -> bool:
    """Return whether a module of a Lightning run steps its optimizers itself."""
    return any(_MANUAL.search(module.source.text) for module in run.modules)


def _clips_by_itself(facts: Facts, run: Run, settings: RunSettings) -> bool:
    """Return whether a module of a Lightning run clips gradients in its own code."""
    module = facts.code.files.modules.get(settings.path)
    modules = run.modules or (facts.code.import_closure(module) if module is not None else frozenset())
    return any("clip_grad" in each.source.text or "configure_gradient" in each.source.text for each in modules)


def _default_that_is_off(facts: Facts, cls: Class) -> Iterator[CodeFinding]:
    """Yield the default of a class of arguments that turns the trainer's clipping off."""
    for argument in arguments_of(cls.module):
        if argument.name != "max_grad_norm" or argument.cls is not cls:
            continue
        values = facts.values.of(argument.default, Place(argument.function))
        if values and all(value is None or is_off(value) for value in values):
            yield build.at_node(
                cls.module,
                argument.default,
                "VC105",
                Severity.WARNING,
                f"{cls.name}.max_grad_norm is {ast.unparse(argument.default)} by default: the trainer clips nothing",
                remedy="Leave the trainer's own default of 1.0.",
                url=CLIPPING_URL,
            )


def _is_old_ppo(facts: Facts, unit: Unit, call: Call) -> bool:
    """Return whether a call makes the configuration of trl's old PPO, and gives no limit."""
    module = call.place.module
    # The name alone says nothing: other packages have a PPOConfig of their own.
    is_of_trl = module.dotted(call.node.func).partition(".")[0] == "trl"
    if not is_of_trl or call.argument("max_grad_norm") is not None:
        return False
    if any(keyword.arg is None for keyword in call.node.keywords):
        return False
    version = facts.code.version(unit, "trl")
    if version is None:
        # Without a pin the arguments of the call tell for which release it was written.
        return any(keyword.arg in _OLD_PPO_ARGUMENTS for keyword in call.node.keywords)
    try:
        return Version(version) in _PPO_WITHOUT_LIMIT
    except InvalidVersion:
        return False


def _ppo_without_limit(call: Call, *, is_pinned: bool) -> CodeFinding:
    """Return the finding; a note without a pinned release, because newer ones refuse the arguments of such a call."""
    return build.at_node(
        call.place.module,
        call.node,
        "VC105",
        Severity.WARNING if is_pinned else Severity.NOTE,
        "PPOConfig gets no max_grad_norm, and its default in this release of trl is None: nothing is clipped",
        evidence=() if is_pinned else ("the call is written for trl before 0.12: newer releases refuse its arguments",),
        remedy="Write max_grad_norm=1.0.",
        url=_PPO_URL,
    )
