"""Flags that exclude each other in the framework that reads them, or a configuration and code that disagree.

**Why.** `fp16 = True` of a project like VideoChat2 only *switches mixed precision on*; what it computes in is said
elsewhere, and by nobody where no `bf16` key is read: float16, in which Mistral's first loss is 3.1493 and the next NaN.
In transformers' `TrainingArguments` the same two names are dtypes and exclude each other. A DeepSpeed file with a
hard-coded `true` contradicts the run's flags; `"auto"` follows them.

**Bad**

    TrainingArguments(output_dir="out", fp16=True, bf16=True)

    fp16 = True                  # a Mistral configuration, no bf16 key

**Good**

    TrainingArguments(output_dir="out", bf16=True)

    fp16 = True                  # the switch of mixed precision
    bf16 = True                  # its dtype

**Quiet** for the pair `fp16 = True, bf16 = True` of projects whose code reads one as the switch and the other as the
dtype, for `--bf16 True --fp16 False`, for DeepSpeed's `"auto"`, for models trained in float16, and for accelerate's
`downcast_bf16`, which is about TPUs.

**Silence** a line with `# vc2doctor: ignore[VC106]` (in JSON, which has no comments: `per-file-ignores`).

**Since** transformers 4.14 knows `bf16`.
"""

from collections.abc import Iterator

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.detectors.accelerator_key import accelerator_keys
from vc2doctor.linter.detectors.engine_flags import engine_flags
from vc2doctor.linter.detectors.engine_keys import engine_keys
from vc2doctor.linter.detectors.exclusive_flags import exclusive_arguments, exclusive_defaults, exclusive_flags
from vc2doctor.linter.detectors.launcher_flags import accelerate_against_engine, launcher_flags
from vc2doctor.linter.detectors.precision_switches import float16_switches, unread_switches
from vc2doctor.linter.detectors.quantized_compute import quantized_compute
from vc2doctor.linter.detectors.trainer_flags import float16_flags
from vc2doctor.linter.model import CodeFinding


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield precision flags that contradict each other or the code."""
    for unit in facts.code.units.values():
        yield from float16_switches(facts, unit)
        yield from exclusive_arguments(facts, unit)
        yield from exclusive_defaults(facts, unit)
        yield from exclusive_flags(facts, unit)
        yield from float16_flags(facts, unit)
        yield from unread_switches(facts, unit)
        yield from accelerator_keys(unit)
        yield from launcher_flags(facts, unit)
        yield from engine_keys(facts, unit)
        yield from engine_flags(facts, unit)
        yield from accelerate_against_engine(facts, unit)
    yield from quantized_compute(facts)
