"""Runs of ms-swift and LLaMA-Factory that train all weights in bfloat16, as their flags and files say."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.detectors.pure_trainer_runs import has_engine, number
from vc2doctor.linter.detectors.trained_dtype import BFLOAT16_EFFECT, MIN_KEPT_RATE
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.run_settings import RunSettings
from vc2doctor.matrix.model_families import is_published_in_bfloat16

_SWIFT_URL = "https://github.com/modelscope/ms-swift/blob/main/docs/source_en/Instruction/Command-line-parameters.md"
_LLAMA_FACTORY_URL = "https://github.com/hiyouga/LLaMA-Factory/blob/main/src/llamafactory/hparams/finetuning_args.py"
_KINDS = {"ms-swift": ("train_type", "tuner_type", "sft_type"), "llama-factory": ("finetuning_type",)}
"""The settings that say whether adapters or all weights are trained. Both frameworks train adapters by default."""
_MODELS = ("model", "model_type", "model_id_or_path", "model_name_or_path")


class _Given(NamedTuple):
    """A flag or key, and where it is."""

    value: object
    path: str
    line: int


class _Pure(NamedTuple):
    """The setting with which a run trains all weights in bfloat16, and why it does."""

    at: _Given
    program: str
    why: str
    url: str


def pure_framework_runs(facts: Facts) -> Iterator[CodeFinding]:
    """Yield the settings of full training whose weights are bfloat16 under a plain optimizer (VC109).

    Commands that do so for the same reason are one finding.
    """
    groups: dict[str, dict[tuple[str, int], _Pure]] = defaultdict(dict)
    for unit in facts.code.units.values():
        for run in facts.runs.of(unit):
            pure = _pure(facts, run)
            if pure is not None:
                groups[pure.why].setdefault((pure.at.path, pure.at.line), pure)
    for places in groups.values():
        first, *others = places.values()
        yield _finding(first, others)


def _pure(facts: Facts, run: Run) -> _Pure | None:
    settings = run.of("ms-swift", "llama-factory")
    given = _given(facts, run)
    if not settings or has_engine(facts, run) or any(each.quantization for each in settings):
        return None
    kind = next((given[name] for name in _KINDS[settings[0].launcher] if name in given), None)
    if kind is None or kind.value != "full" or _keeps_updates(given):
        return None
    return _of_swift(settings, given, kind) if settings[0].launcher == "ms-swift" else _of_llama_factory(settings)


def _of_swift(settings: tuple[RunSettings, ...], given: Mapping[str, _Given], kind: _Given) -> _Pure | None:
    """Return why ms-swift trains bfloat16 weights: it keeps the dtype that it is given, or that of the checkpoint.

    Weights in float16 are taken to float32 for training, those in bfloat16 are not.
    """
    dtype = given.get("torch_dtype")
    if dtype is not None:
        is_bfloat16 = str(dtype.value) in ("bfloat16", "bf16")
        why = "ms-swift trains the weights in the dtype of --torch_dtype"
        return _Pure(dtype, "ms-swift", why, _SWIFT_URL) if is_bfloat16 else None
    names = [str(given[name].value) for name in _MODELS if name in given]
    asks_for_other = any(each.asking_for("fp16") for each in settings)
    name = next((each for each in names if is_published_in_bfloat16(each)), None)
    if name is None or asks_for_other:
        return None
    why = f"without --torch_dtype ms-swift keeps the dtype of the checkpoint, and that of {name} is bfloat16"
    return _Pure(kind, "ms-swift", why, _SWIFT_URL)


def _of_llama_factory(settings: tuple[RunSettings, ...]) -> _Pure | None:
    pure = next((each.pure for each in settings if each.pure is not None), None)
    if pure is None:
        return None
    why = "pure_bf16 trains the parameters themselves in bfloat16"
    return _Pure(_Given(pure.value, pure.path, pure.line), "LLaMA-Factory", why, _LLAMA_FACTORY_URL)


def _given(facts: Facts, run: Run) -> dict[str, _Given]:
    """Return what a run is given by flags, and else by its files."""
    script = run.launch.script if run.launch is not None else ""
    given = {name: _Given(flag.value, script, flag.line) for name, flag in run.flags.items()}
    for path in dict.fromkeys(settings.path for settings in run.settings):
        for key in facts.runs.keys_of(path):
            entry = facts.runs.entry(path, key)
            if entry is not None:
                given.setdefault(key, _Given(entry.value, path, entry.line))
    return given


def _keeps_updates(given: Mapping[str, _Given]) -> bool:
    """Return whether the learning rate is one of which bfloat16 keeps most updates. The defaults are smaller."""
    rate = number(given["learning_rate"].value) if "learning_rate" in given else None
    return rate is not None and rate >= MIN_KEPT_RATE


def _finding(pure: _Pure, others: list[_Pure]) -> CodeFinding:
    return build.at_line(
        pure.at.path,
        pure.at.line,
        "VC109",
        Severity.WARNING,
        f"all weights are loaded in bfloat16 and trained without float32 copies: {BFLOAT16_EFFECT}",
        evidence=(pure.why, f"{pure.program} gets neither adapters nor DeepSpeed or FSDP here"),
        remedy="Train with DeepSpeed, which keeps float32 copies (ms-swift: --deepspeed zero2), or load the weights in "
        "float32 and let bf16 compute in bfloat16.",
        url=pure.url,
        role="config",
        also=tuple(CodePlace(path=each.at.path, line=each.at.line, end_line=each.at.line) for each in others),
    )
