"""Settings of one run that contradict each other: its launcher, its trainer, its weights and their quantization."""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.knowledge.quantized_names import is_quantized_name
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.run_settings import HALF, Precision, RunSettings, Setting

_ACCELERATE_URL = "https://huggingface.co/docs/accelerate/usage_guides/mixed_precision"
_DEEPSPEED_URL = "https://huggingface.co/docs/accelerate/usage_guides/deepspeed"
_BITSANDBYTES_URL = "https://huggingface.co/docs/transformers/quantization/bitsandbytes"
_LLAMA_FACTORY_URL = "https://github.com/hiyouga/LLaMA-Factory/blob/main/src/llamafactory/hparams/parser.py"
_DTYPE_OF: dict[Precision, str] = {"fp16": "float16", "bf16": "bfloat16"}
_WITHOUT_CONVERSION = ("transformers", "llama-factory")
"""Those that read a file with HfArgumentParser. Axolotl has typed models, which convert the text."""
_WITHOUT_DTYPE = "AmpOptimWrapper without a dtype"


def launcher_flags(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield the contradictions within the runs of a unit."""
    seen: set[tuple[str, int, str]] = set()
    for run in facts.runs.of(unit):
        for finding in _of_run(run):
            # Several commands can read the same file.
            key = (finding.path or "", finding.line or 0, finding.message)
            if key not in seen:
                seen.add(key)
                yield finding


def _of_run(run: Run) -> Iterator[CodeFinding]:
    yield from _accelerate_against_trainer(run)
    for settings in run.settings:
        if not settings.is_call:
            yield from _weights_against_precision(settings)
        yield from _quantized_compute(settings)
        yield from _pure_against_precision(settings, run)


def _finding(setting: Setting[Precision], severity: Severity, message: str, **fields: object) -> CodeFinding:
    role = "launch" if setting.text.startswith("--") else "config"
    return build.at_line(setting.path, setting.line, "VC106", severity, message, role=role, **fields)


def _accelerate_against_trainer(run: Run) -> Iterator[CodeFinding]:
    """Yield a half precision or fp8 that an option of accelerate sets, if a flag of the trainer sets another one."""
    trainer = run.half if run.is_of_trainer else None
    for settings in run.of("accelerate"):
        for setting in settings.precisions:
            if trainer is not None and setting.value in (*HALF, "fp8") and setting.value != trainer.value:
                yield _finding(
                    setting,
                    Severity.WARNING,
                    f"accelerate is told {setting.value}, and the trainer {trainer.value}: the trainer's flag wins",
                    evidence=(trainer.place, "TrainingArguments sets ACCELERATE_MIXED_PRECISION by its own flags"),
                    remedy=f"Write mixed_precision {trainer.value}, or take one of the two away.",
                    url=_ACCELERATE_URL,
                )


def _weights_against_precision(settings: RunSettings) -> Iterator[CodeFinding]:
    """Yield a half precision over weights that the same settings load in the other half precision."""
    asked = settings.precisions[0] if settings.precision in HALF else None
    weights = settings.weights
    if asked is None or weights is None or weights.value not in ("float16", "bfloat16"):
        return
    is_quantized = settings.quantization is not None or any(is_quantized_name(each.value) for each in settings.models)
    # mmengine's wrapper without a dtype is VC104's, where the loss is scaled.
    if weights.value == _DTYPE_OF[asked.value] or is_quantized or asked.text == _WITHOUT_DTYPE:
        return
    effect = (
        "the autocast is float16 and scales the loss, and on CUDA a scaler refuses gradients in bfloat16"
        if asked.value == "fp16"
        else "the autocast is bfloat16, and parameters in float16 get gradients in float16 without loss scaling"
    )
    yield _finding(
        asked,
        Severity.WARNING,
        f"the run asks for {asked.value}, and loads its weights in {weights.value}: {effect}",
        evidence=(weights.place,),
        remedy=f"Load the weights in float32 or {_DTYPE_OF[asked.value]}, or ask for the dtype of the weights.",
        url=_ACCELERATE_URL,
    )


def _quantized_compute(settings: RunSettings) -> Iterator[CodeFinding]:
    """Yield a quantized base that computes in float16 while the run is in bfloat16."""
    compute = settings.quantized_compute
    if compute is None or compute.value != "float16" or settings.precision != "bf16":
        return
    yield build.at_line(
        compute.path,
        compute.line,
        "VC106",
        Severity.WARNING,
        "the quantized base computes in float16, and the run in bfloat16",
        evidence=(
            settings.precisions[0].place,
            "measured: with float16 compute an input of 1e5 gives inf in a 4-bit layer, also under bf16",
        ),
        remedy=f"Set {compute.text.split()[0].strip('-:')} to bfloat16.",
        url=_BITSANDBYTES_URL,
        role="launch" if compute.text.startswith("--") else "config",
    )


def _pure_against_precision(settings: RunSettings, run: Run) -> Iterator[CodeFinding]:
    """Yield LLaMA-Factory's ``pure_bf16`` beside mixed precision, or with ZeRO-3, which it refuses."""
    pure = settings.pure
    if pure is None or settings.launcher != "llama-factory":
        return
    if settings.precisions:
        yield _finding(
            pure,
            Severity.WARNING,
            "pure_bf16 trains the parameters themselves in bfloat16, and mixed precision is asked for too",
            evidence=(settings.precisions[0].place, "older releases of LLaMA-Factory raise ValueError for the pair"),
            remedy="Keep one of the two; bf16 alone keeps float32 parameters.",
            url=_LLAMA_FACTORY_URL,
        )
    stage = run.engine.config.get("zero_optimization.stage") if run.engine is not None else None
    if run.engine is not None and stage == 3:  # noqa: PLR2004 - ZeRO's stages are numbers
        yield _finding(
            pure,
            Severity.ERROR,
            "LLaMA-Factory refuses pure_bf16 with ZeRO-3",
            evidence=(run.engine.named_at.place, f"{run.engine.config.name}: zero_optimization.stage is 3"),
            remedy="Write bf16: true instead, or use ZeRO-2.",
            url=_LLAMA_FACTORY_URL,
        )


def accelerate_against_engine(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield a precision of accelerate that DeepSpeed's file contradicts: accelerate raises ValueError."""
    for run in facts.runs.of(unit):
        if run.engine is None or run.is_of_trainer:
            continue
        for settings in run.of("accelerate"):
            for setting in settings.precisions:
                other = {"fp16": "bf16", "bf16": "fp16"}.get(setting.value)
                entry = run.engine.config.find(f"{other}.enabled")
                if other is not None and entry is not None and entry.value is True:
                    yield _finding(
                        setting,
                        Severity.ERROR,
                        f"accelerate is told {setting.value}, and DeepSpeed's file turns {other} on",
                        evidence=(
                            f"{run.engine.config.name}:{entry.line}",
                            "accelerate raises ValueError for the pair",
                        ),
                        remedy='Set the file\'s precisions to "auto".',
                        url=_DEEPSPEED_URL,
                    )


def text_as_switch(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield switches of transformers' trainer that are the text "false": a text is true, and nothing converts it."""
    for config in unit.configs:
        settings = facts.runs.settings_of(config)
        if settings is None or settings.launcher not in _WITHOUT_CONVERSION:
            continue
        for entry in config.entries:
            if entry.key in HALF and isinstance(entry.value, str) and entry.value.lower() in ("false", "no", "off"):
                yield build.at_entry(
                    config,
                    entry,
                    "VC106",
                    Severity.ERROR,
                    f'{entry.key} is the text "{entry.value}", which counts as true: the run is in {entry.key}',
                    evidence=(
                        "HfArgumentParser passes the values of a file to TrainingArguments without converting them",
                    ),
                    remedy=f"Write {entry.key}: false without quotes.",
                    url="https://huggingface.co/docs/transformers/internal/trainer_utils#transformers.HfArgumentParser",
                    role="config",
                )
