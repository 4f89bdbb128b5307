"""``python -m tests.compare``: freeze what a version of the doctor decides, and compare two frozen folders.

A rebuild changes names and sentences, and must not change a decision. So only decisions are compared: ids,
severities, paths, lines, verdicts, constraint ids, outcomes, causes, exit codes and patches. Keys that were renamed are
mapped first.

    python -m tests.compare freeze FOLDER --doctor PYTHON --tests FOLDER [--repositories FOLDER] [--stack PYTHON]
    python -m tests.compare diff OLD NEW
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.compare import decisions, freeze


def main() -> int:
    """Run one of the two commands; 1 where two folders differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.compare")
    commands = parser.add_subparsers(dest="command", required=True)
    freezing = commands.add_parser("freeze")
    freezing.add_argument("folder", type=Path)
    freezing.add_argument("--doctor", required=True, help="a Python in which the version to freeze is installed")
    freezing.add_argument("--tests", type=Path, required=True, help="checkout of that version, for its planted faults")
    freezing.add_argument("--repositories", type=Path, help="folder of git directories: owner+name/repo")
    freezing.add_argument("--stack", help="a Python with the stack, for the planted faults")
    freezing.add_argument("--only", choices=freeze.PARTS, action="append", help="may be repeated; default: all")
    comparing = commands.add_parser("diff")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    options = parser.parse_args()
    if options.command == "freeze":
        freeze.freeze(options)
        return 0
    return _diff(options.old, options.new)


def _diff(old: Path, new: Path) -> int:
    names = sorted({path.relative_to(root) for root in (old, new) for path in root.rglob("*") if path.is_file()})
    differing = 0
    for name in names:
        if not (old / name).exists() or not (new / name).exists():
            print(f"only in {'new' if (new / name).exists() else 'old'}: {name}")
            differing += 1
            continue
        before, after = (decisions.of_file(root / name) for root in (old, new))
        if before != after:
            print(f"differs: {name}")
            _show(before, after)
            differing += 1
    print(f"{len(names)} compared, {differing} differ")
    return int(differing > 0)


def _show(before: object, after: object) -> None:
    left, right = (json.dumps(each, indent=1, sort_keys=True).splitlines() for each in (before, after))
    if len(left) > decisions.MAX_SHOWN_LINES or len(right) > decisions.MAX_SHOWN_LINES:
        left, right = left[: decisions.MAX_SHOWN_LINES], right[: decisions.MAX_SHOWN_LINES]
    import difflib  # noqa: PLC0415 - only a difference needs it

    for line in list(difflib.unified_diff(left, right, lineterm="", n=1))[:40]:
        print(f"    {line}")


if __name__ == "__main__":
    sys.exit(main())
