"""A file could not be read, so nothing is said of it.

**Why.** A clean report must not hide that a part was not looked at: a training loop in a file with broken syntax, in
Python 2, or in a grammar newer than that of the Python the doctor runs on. A change to bfloat16 is refused while such a
file belongs to the same project, as nobody can say that it is complete.

**Bad**

    print "epoch", epoch

**Good**

    print("epoch", epoch)

**Quiet** for files that say nothing of precision, vendored trees, and what `.gitignore` names.

**Silence** with `per-file-ignores`, or leave the file out with `exclude`; a comment `# vc2doctor: ignore[VC100]` cannot be
read either.

**Since** this is no matter of versions.
"""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.model import CodeFinding


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield the files that could not be read."""
    for file in facts.code.files.unread_files:
        yield build.at_line(
            file.name,
            file.line or 1,
            "VC100",
            Severity.NOTE,
            f"not read: {file.reason}",
            remedy="If it trains, make it readable for the Python that the doctor runs on.",
            url="https://docs.python.org/3/library/ast.html#ast.parse",
        )
