"""A file that could not be read.

**What it does.** Lists files that mention precision and cannot be parsed. Nothing is said of such a file.

**Why is this bad.** A report must not hide that a part of the code was not read: a training loop in a file with a
syntax error, in Python 2, or in a grammar that is newer than the Python of the doctor. A change to bfloat16 is refused
while such a file belongs to the same project, because nobody can say that the change is complete.

**Example**

    print "epoch", epoch

**Use instead**

    print("epoch", epoch)

**How to fix.** Correct the syntax, or run the doctor on a newer Python. A comment in such a file cannot be read, so `#
vc2doctor: ignore[VC100]` has no effect: use `per-file-ignores` or `exclude`.

**Quiet.** No finding for files that do not mention precision, for copies of libraries, and for files that `.gitignore`
names.

**References**

* https://docs.python.org/3/library/ast.html#ast.parse
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
            f"the file could not be read: {file.reason}",
            remedy="If it trains, correct the syntax, or run the doctor on a newer Python.",
            url="https://docs.python.org/3/library/ast.html#ast.parse",
        )
