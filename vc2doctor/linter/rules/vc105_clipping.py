"""Gradient clipping that is off, in the wrong place, or without effect.

**What it does.** Reports limits that turn clipping off in files, commands and the defaults of arguments, clipping
before `unscale_` or before the backward pass itself (also in Lightning's `training_step` and, in float16, `on_after_backward`), limits that never reach the engine that trains, clipping that waits for a key which nothing sets, clipping of an iterator that
the optimizer has used up, calls of a scaler's wrapper without a limit, limits that are off beside a half-precision choice of Hydra's trainer, and
loops that train in half precision and clip nothing. A loop is in half precision by a region, by accelerate (in code, on
the command, or in its file), by apex, by a scaler, by an option that is off by default, or because the weights of its model are half.

**Why is this bad.** One step with a gradient of 1e4 times the usual size ruins a half-precision run. `-1` means "off"
in many configurations. If it reaches `clip_grad_norm_`, a norm of -1 turns the gradients around ([3, 4] becomes [-0.6,
-0.8], measured), and 0 makes them zero. Clipping before `unscale_` compares a scaled norm with the limit, so it clips
everything. Under DeepSpeed only `gradient_clipping` of its own configuration counts: transformers and accelerate fill
only values that are "auto", so a file without that key trains without clipping, whatever `max_grad_norm` is, and
transformers refuses a number there that is not the run's `max_grad_norm`. The block `deepspeed_config` of accelerate's own file is
filled since accelerate 0.30, and not before. Gradients that are NaN stay NaN after
clipping.

**Example**

    optimizer = dict(lr=2e-5, max_grad_norm=-1)
    ds_config.update({"gradient_clipping", config.max_grad_norm})    # a set, not a dict: it raises
    TrainingArguments(output_dir="out", bf16=True, max_grad_norm=-1)
    torchrun train.py --bf16 True --deepspeed ds.json                # ds.json has no gradient_clipping

**Use instead**

    optimizer = dict(lr=2e-5, max_grad_norm=1.0)
    ds_config["gradient_clipping"] = config.optimizer.max_grad_norm
    {"gradient_clipping": "auto"}                                    # in ds.json

**How to fix.** Set a positive limit where the engine reads it. The doctor never writes the value of the limit, because
it depends on your model. To keep a line, add `# vc2doctor: ignore[VC105]`.

**Quiet.** No finding where the limit is positive or only a run can tell it, in float32, after `unscale_`, and
for configurations that only evaluate. A loop that clips nothing is a note. A DeepSpeed file that no run and no loop
names by its path is a note, and so are settings of DeepSpeed in code whose program asks for no limit.

**References**

* https://docs.pytorch.org/docs/stable/notes/amp_examples.html#gradient-clipping
* https://huggingface.co/docs/transformers/deepspeed
"""

from collections.abc import Iterator

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.detectors.clipping_accelerate import accelerate_without_limit
from vc2doctor.linter.detectors.clipping_arguments import arguments_that_clip_nothing
from vc2doctor.linter.detectors.clipping_choices import limits_off_by_choice
from vc2doctor.linter.detectors.clipping_early import clipping_before_backward, clipping_in_training_step
from vc2doctor.linter.detectors.clipping_engine_code import engine_code_without_limit
from vc2doctor.linter.detectors.clipping_engines import engines_without_clipping
from vc2doctor.linter.detectors.clipping_iterators import clipping_of_used_iterator
from vc2doctor.linter.detectors.clipping_keys import limits_that_are_off
from vc2doctor.linter.detectors.clipping_loops import clipping_of_loop
from vc2doctor.linter.detectors.clipping_missing import clipping_never_asked
from vc2doctor.linter.detectors.clipping_parts import clipping_of_parts
from vc2doctor.linter.detectors.clipping_runs import clipping_of_runs
from vc2doctor.linter.detectors.clipping_unset import clipping_key_is_unset
from vc2doctor.linter.detectors.clipping_wrappers import wrapper_without_limit
from vc2doctor.linter.detectors.lightning_backward import clipping_of_scaled_lightning
from vc2doctor.linter.model import CodeFinding


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield gradient clipping that is off, in the wrong place, or without effect."""
    yield from clipping_of_scaled_lightning(facts)
    for unit in facts.code.units.values():
        yield from limits_that_are_off(facts, unit)
        yield from limits_off_by_choice(facts, unit)
        yield from clipping_of_used_iterator(facts, unit)
        yield from arguments_that_clip_nothing(facts, unit)
        yield from clipping_of_runs(facts, unit)
        yield from clipping_never_asked(facts, unit)
        yield from accelerate_without_limit(facts, unit)
        yield from clipping_in_training_step(facts, unit)
        yield from engine_code_without_limit(facts, unit)
        loops = facts.loops.of(unit)
        for loop in loops:
            yield from clipping_of_loop(facts, loop)
            yield from wrapper_without_limit(facts, loop)
            yield from clipping_of_parts(facts, loop)
            yield from clipping_before_backward(loop)
            yield from clipping_key_is_unset(facts, unit, loop)
        if loops:
            yield from engines_without_clipping(facts, unit, loops)
