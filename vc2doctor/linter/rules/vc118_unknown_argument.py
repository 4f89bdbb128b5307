"""An argument that a release of transformers, peft, trl, accelerate or bitsandbytes does not take.

**Why.** Arguments are renamed and removed: `evaluation_strategy` became `eval_strategy` in transformers 4.41, and 4.51 no
longer takes the old name. Python then raises a TypeError, and a parser of command lines refuses the flag, often after the
model was loaded. The signatures were read in the released wheels, with the fields of data classes and old names that a
release still translates.

**Bad**

    # requirements.txt: transformers==5.15.0
    args = TrainingArguments("out", evaluation_strategy="steps")

**Good**

    args = TrainingArguments("out", eval_strategy="steps")

**Severity.** An error where the installed or pinned release, or every release that the requirements allow, does not take
the argument. A warning where only the newest release that the requirements allow does not, and where nothing says which
release is used.

**Quiet** about calls in a `try` that catches the error, under a question for a version, about callables that take every
keyword, and about arguments that no release is known to take.

**Silence** a line with `# vc2doctor: ignore[VC118]`, or the rule with `ignore = ["VC118"]`.

**Since** transformers 4.18, peft 0.1, trl 0.2, accelerate 0.12 and bitsandbytes 0.35, the oldest releases that were read.
"""

from collections.abc import Iterator

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.detectors.api import missing_uses
from vc2doctor.linter.model import CodeFinding


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield arguments and flags that the release in use does not take, one finding each."""
    yield from missing_uses(facts, "VC118", ("argument",))
