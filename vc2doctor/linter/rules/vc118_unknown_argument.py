"""An argument that a release of transformers, peft, trl, accelerate, bitsandbytes or torch does not take.

**What it does.** Reports arguments and flags that do not exist in the release that is installed, pinned or allowed,
calls that such a release refuses (too many arguments by position, one twice, one that is missing), variables that land
in another parameter, and methods that override one of a package without taking what the release passes. Names of
optimizers that a release dropped (`optim="adamw_hf"`), and a model that is replaced by what
`set_peft_model_state_dict` returns, are reported too, and so are model types that `AutoConfig.register` adds and
transformers has itself (`llava` since 4.36), and keys of YAML and JSON files that
`HfArgumentParser` or `TrlParser` refuses. The signatures were read in the released wheels, with the fields of data classes and old names that a release still translates. It
reads transformers 4.18, peft 0.1, trl 0.2, accelerate 0.12, bitsandbytes 0.35 and newer, two calls of torch, the constructors of torch's optimizers, and what Lightning 2.0 took from its `Trainer`. Requirements
whose newest releases are known not to work together are reported at their line.

**Why is this bad.** Arguments are renamed and removed: `evaluation_strategy` became `eval_strategy` in transformers
4.41, and releases that no longer translate the old name raise a TypeError. A parser of command lines refuses the flag,
often after the model was loaded. Trainer passes `num_items_in_batch` to `compute_loss` since transformers 4.46, so an
override without it raises a TypeError in the first step.

**Example**

    # requirements.txt: transformers==5.15.0
    args = TrainingArguments("out", evaluation_strategy="steps")

**Use instead**

    args = TrainingArguments("out", eval_strategy="steps")

**How to fix.** Use the new name, or install a release that takes the old one. It is an error where the installed or
pinned release, or every release that the requirements allow, does not take the argument. It is a warning where only the
newest allowed release does not, and where nothing says which release is used. To keep a line, add `# vc2doctor:
ignore[VC118]`.

**Quiet.** No finding for calls in a `try` that catches the error, under a question for a version, for callables that
take every keyword, for files
whose parser ignores unknown keys, for overrides that only code of the project calls, and for arguments that no release
is known to take.

**References**

* https://github.com/huggingface/transformers/releases
* https://github.com/huggingface/trl/releases
"""

from collections.abc import Iterator

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.detectors.api import missing_uses
from vc2doctor.linter.detectors.fresh_pairs import fresh_pairs
from vc2doctor.linter.detectors.lightning_arguments import refused_lightning_arguments
from vc2doctor.linter.detectors.optimizer_calls import refused_optimizer_calls
from vc2doctor.linter.detectors.torch_calls import refused_torch_calls
from vc2doctor.linter.model import CodeFinding


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield arguments and flags that the release in use does not take, one finding each."""
    yield from missing_uses(facts, "VC118", ("argument", "call", "override", "result"))
    yield from refused_lightning_arguments(facts)
    yield from refused_torch_calls(facts)
    yield from fresh_pairs(facts)
    yield from refused_optimizer_calls(facts)
