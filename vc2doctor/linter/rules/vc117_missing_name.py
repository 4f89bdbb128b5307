"""A name that a release of transformers, peft, trl, accelerate or bitsandbytes does not have.

**Why.** These packages move and remove names in most releases. An import of a name that is gone raises an ImportError
before the first step; an attribute of a base class that is gone raises an AttributeError when a step reaches it, perhaps
after hours. The names were read in the released wheels, so nothing is imported.

**Bad**

    # requirements.txt: peft==0.17.0
    from peft import prepare_model_for_int8_training

**Good**

    from peft import prepare_model_for_kbit_training

**Severity.** An error where the installed or pinned release, or every release that the requirements allow, lacks the
name. A warning where the newest release that the requirements allow lacks it, where nothing says which release is used,
and where the import runs under a condition.

**Quiet** about names in a `try` that catches the error, under a question for a version or for `hasattr`, for type
checkers only, about packages that the project itself contains, and about names that no release is known to have had.

**Silence** a line with `# vc2doctor: ignore[VC117]`, or the rule with `ignore = ["VC117"]`.

**Since** transformers 4.18, peft 0.1, trl 0.2, accelerate 0.12 and bitsandbytes 0.35, the oldest releases that were read.
"""

from collections.abc import Iterator

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.detectors.api import missing_uses
from vc2doctor.linter.model import CodeFinding


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield names and attributes that the release in use does not have, one finding each."""
    yield from missing_uses(facts, "VC117", ("name", "attribute"))
