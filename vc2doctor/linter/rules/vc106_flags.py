"""Precision flags that exclude each other, or a configuration that contradicts the code.

**What it does.** Reports flags of one framework that cannot be on together, float16 flags for models that were trained
in bfloat16, keys that their reader ignores or refuses, options that do not do what their name says (`type=bool`,
`store_false` under `not`, a text as default, a spelling that only some functions know, texts for which the scaler is
off), launchers and programs that get different precisions, keys that `BitsAndBytesConfig` does not have, and optimizers
that DeepSpeed's file replaces (a note), flags of a script's command that the program's parser refuses (if all of its
flags are known), and a reference model that a loop runs outside of its policy's region (a note).

**Why is this bad.** In transformers' `TrainingArguments` `fp16` and `bf16` are dtypes and exclude each other. In
projects like VideoChat2 `fp16 = True` only switches mixed precision on. Where no `bf16` key is read, the dtype is then
float16, in which Mistral's first loss is 3.1493 and the next one NaN. A DeepSpeed file with a fixed `true` contradicts
the flags of the run; `"auto"` follows them. In that file a misspelled key (`"enable": true`) is ignored before
DeepSpeed 0.17.1 and refused later, the text `"false"` counts as true, and apex's `amp` excludes ZeRO. A dtype that is
read from the options and then overwritten, a key that the code replaces in every run, and a misspelled flag have no
effect, so the run trains in another precision than its configuration says. A launcher and its program can each be told a
precision: accelerate (also fp8) and the trainer, ms-swift's `--torch_dtype` and `--fp16`, the compute dtype of a quantized base
and `bf16`.

**Example**

    TrainingArguments(output_dir="out", fp16=True, bf16=True)

    fp16 = True                  # a Mistral configuration, no bf16 key

    {"fp16": {"enabled": true}, "bf16": {"enable": true}}             # DeepSpeed trains in float16

    accelerate launch --mixed_precision fp16 train.py --bf16 True     # the trainer's flag wins

**Use instead**

    TrainingArguments(output_dir="out", bf16=True)

    fp16 = True                  # the switch of mixed precision
    bf16 = True                  # its dtype

**How to fix.** Say the precision once, where it is read, and remove the other flag. To keep a line, add `# vc2doctor:
ignore[VC106]`. JSON has no comments: use `per-file-ignores`. transformers knows `bf16` since 4.14.

**Quiet.** No finding for `fp16 = True, bf16 = True` in projects whose code reads one as the switch and the other as the
dtype, for `--bf16 True --fp16 False`, for DeepSpeed's `"auto"`, for models that were trained in float16, for
accelerate's `downcast_bf16`, which is about TPUs, for bases that are quantized for kernels in float16 (GPTQ, AWQ,
Int4), for values that only a run decides (`--fp16 $FP16`), and for DeepSpeed files that no run names by their path.
float16 over float32 weights with loss scaling is a note, and more only for a family that is known to overflow.

**References**

* https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments.bf16
* https://github.com/OpenGVLab/Ask-Anything/issues/190
* https://www.deepspeed.ai/docs/config-json/
"""

from collections.abc import Iterator

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.detectors.accelerator_key import accelerator_keys
from vc2doctor.linter.detectors.asked_against_weights import asked_against_weights, launcher_beside_calls
from vc2doctor.linter.detectors.cast_overrides import cast_overrides
from vc2doctor.linter.detectors.cut_commands import cut_commands
from vc2doctor.linter.detectors.engine_amp import engine_amp
from vc2doctor.linter.detectors.engine_flags import engine_flags
from vc2doctor.linter.detectors.engine_keys import engine_keys
from vc2doctor.linter.detectors.engine_optimizers import engine_optimizers
from vc2doctor.linter.detectors.engine_paths import engine_paths
from vc2doctor.linter.detectors.exclusive_flags import exclusive_arguments, exclusive_defaults, exclusive_flags
from vc2doctor.linter.detectors.ignored_quantization import ignored_quantization
from vc2doctor.linter.detectors.launcher_flags import accelerate_against_engine, launcher_flags, text_as_switch
from vc2doctor.linter.detectors.misspelled_flags import misspelled_flags
from vc2doctor.linter.detectors.misspelled_quantization import misspelled_quantization
from vc2doctor.linter.detectors.option_types import option_types
from vc2doctor.linter.detectors.overwritten_keys import overwritten_keys, unreached_precision
from vc2doctor.linter.detectors.precision_switches import float16_switches, unread_switches
from vc2doctor.linter.detectors.quantized_compute import quantized_compute
from vc2doctor.linter.detectors.reference_outside import references_outside
from vc2doctor.linter.detectors.trainer_flags import float16_flags
from vc2doctor.linter.detectors.unknown_choices import unknown_choices
from vc2doctor.linter.detectors.unknown_flags import unknown_flags
from vc2doctor.linter.detectors.unread_options import unread_options
from vc2doctor.linter.detectors.unscaled_choices import texts_without_scaler
from vc2doctor.linter.detectors.unused_dtypes import unused_dtypes
from vc2doctor.linter.model import CodeFinding


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield precision flags that contradict each other or the code."""
    for unit in facts.code.units.values():
        yield from float16_switches(facts, unit)
        yield from cut_commands(unit)
        yield from exclusive_arguments(facts, unit)
        yield from exclusive_defaults(facts, unit)
        yield from exclusive_flags(facts, unit)
        yield from float16_flags(facts, unit)
        yield from unread_switches(facts, unit)
        yield from accelerator_keys(unit)
        yield from launcher_flags(facts, unit)
        yield from asked_against_weights(facts, unit)
        yield from launcher_beside_calls(facts, unit)
        yield from text_as_switch(facts, unit)
        yield from engine_keys(facts, unit)
        yield from engine_paths(facts, unit)
        yield from engine_flags(facts, unit)
        yield from engine_optimizers(facts, unit)
        yield from accelerate_against_engine(facts, unit)
        yield from engine_amp(facts, unit)
        yield from misspelled_flags(facts, unit)
        yield from misspelled_quantization(unit)
        yield from overwritten_keys(unit)
        yield from unreached_precision(facts, unit)
        yield from unread_options(facts, unit)
        yield from option_types(unit)
        yield from unknown_choices(facts, unit)
        yield from ignored_quantization(facts, unit)
        yield from unused_dtypes(facts, unit)
        for loop in facts.loops.of(unit):
            yield from texts_without_scaler(facts, loop)
            yield from references_outside(facts, loop)
    yield from cast_overrides(facts)
    yield from quantized_compute(facts)
    yield from unknown_flags(facts)
