"""A name that a release of transformers, peft, trl, accelerate or bitsandbytes does not have.

**What it does.** Reports imports and attributes that do not exist in the release that is installed, pinned or allowed.
The names were read in the released wheels, so nothing is imported. Attributes are those of a package, of a class that
inherits from one of its classes, and of objects whose class is known: what a parser of data classes returns, what a
class makes, a parameter with an annotation, `self.args` of a trainer. It reads transformers 4.18, peft 0.1, trl 0.2,
accelerate 0.12, bitsandbytes 0.35 and newer.

**Why is this bad.** These packages move and remove names in most releases. An import of a name that is gone raises an
ImportError before the first step. An attribute of a base class that is gone raises an AttributeError when a step
reaches it, perhaps after hours.

**Example**

    # requirements.txt: peft==0.17.0
    from peft import prepare_model_for_int8_training

**Use instead**

    from peft import prepare_model_for_kbit_training

**How to fix.** Use the new name, or install a release that has the old one. It is an error where the installed or
pinned release, or every release that the requirements allow, lacks the name. It is a warning where only the newest
allowed release lacks it, where nothing says which release is used, and where the import runs under a condition. To keep
a line, add `# vc2doctor: ignore[VC117]`.

**Quiet.** No finding for names in a `try` that catches the error, under a question for a version or for `hasattr`, for
type checkers only, for packages that the project itself contains, and for names that no release is known to have had:
`vc2doctor check --code` and the gate import those in the environment itself (VC030).

**References**

* https://github.com/huggingface/transformers/releases
* https://github.com/huggingface/peft/releases
"""

from collections.abc import Iterator

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.detectors.api import missing_uses
from vc2doctor.linter.detectors.torch_names import gone_torch_names
from vc2doctor.linter.model import CodeFinding


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield names and attributes that the release in use does not have, one finding each."""
    yield from missing_uses(facts, "VC117", ("name", "attribute"))
    yield from gone_torch_names(facts)
