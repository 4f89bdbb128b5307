"""``python -m tests.faults``: what ``nox -s probe-truth`` runs once for each environment, and then for the table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.faults import truth
from tests.faults.table import ENVIRONMENT_FAULTS

_PAGE = """# What the probe says of planted faults

Each fault is planted in real code (`tests/faults/planted.py`) or is a real environment, and has a twin without it.
`right`: `vc2doctor probe` named outcome and cause as this table says, and called the twin finite without a cause.
`unsupported`: that torch cannot run the recipe on a CPU, which is what the probe says. Made by
`nox -s probe-truth -- --write`.

"""


def main() -> int:
    """Run faults and keep their rows, or print the table of the rows kept; 1 where a row is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--rows", type=Path, required=True, help="JSON Lines file that keeps the rows")
    parser.add_argument("--torch", help="release of torch in --python: run all faults there")
    parser.add_argument("--python")
    parser.add_argument("--environments", action="store_true", help="print the environment faults as JSON")
    parser.add_argument("--environment", help="name of an environment fault: --python is the faulty one")
    parser.add_argument("--clean", help="interpreter of the clean environment")
    parser.add_argument("--seeds", action="store_true", help="compare seeds 0 to 4, eager and sdpa, in --python")
    parser.add_argument("--page", type=Path, help="file to write the table to")
    options = parser.parse_args()
    if options.environments:
        print(json.dumps([fault._asdict() for fault in ENVIRONMENT_FAULTS]))
        return 0
    if options.environment:
        fault = next(one for one in ENVIRONMENT_FAULTS if one.name == options.environment)
        return _keep([truth.environment_row(fault, options.python, options.clean)], options.rows)
    if options.seeds:
        return _seeds(options.python)
    if options.torch:
        return _keep(truth.rows(options.python, options.torch), options.rows)
    return _table(options.rows, options.page)


def _keep(rows: Iterable[truth.Row], file: Path) -> int:
    for row in rows:
        print(truth.line(row), flush=True)
        record = {"fault": row.fault.name, "recipe": row.fault.recipe, "torch": row.environment, "is": row.verdict}
        with file.open("a", encoding="utf-8") as kept:
            kept.write(json.dumps(record) + "\n")
    return 0


def _seeds(python: str) -> int:
    found = {(seed, kind): truth.verdicts(python, seed, kind) for kind in truth.ATTENTIONS for seed in truth.SEEDS}
    first = found[0, truth.ATTENTIONS[0]]
    for name, outcome in first.items():
        others = {verdicts[name] for verdicts in found.values()}
        print(f"{'same' if others == {outcome} else 'DIFFERENT':<10} {name:<32} {', '.join(sorted(others))}")
    return int(any(verdicts != first for verdicts in found.values()))


def _table(file: Path, page: Path | None) -> int:
    verdicts: truth.Verdicts = {}
    for text in file.read_text(encoding="utf-8").splitlines():
        record = json.loads(text)
        verdicts.setdefault((record["fault"], record["recipe"]), {})[record["torch"]] = record["is"]
    table = truth.markdown(verdicts)
    print(table)
    found = [verdict for row in verdicts.values() for verdict in row.values()]
    print(", ".join(f"{found.count(kind)} {kind}" for kind in ("right", "unsupported", "wrong")))
    if page:
        page.write_text(_PAGE + table, encoding="utf-8")
    return int("wrong" in found)


if __name__ == "__main__":
    sys.exit(main())
