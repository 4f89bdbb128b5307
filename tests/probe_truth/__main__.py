"""``python -m tests.probe_truth``: ``nox -s probe-truth`` runs it once for each environment, and then for the table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.probe_truth import together, truth
from tests.probe_truth.table import ENVIRONMENT_FAULTS, FAULTS

_PAGE = """# How the probe reports planted faults

Each fault is planted in real code (`tests/probe_truth/planted/`) or is a real environment, and has a twin without it.
`right`: the probe reported outcome and cause as in this table, and called the twin finite without a cause.
`unsupported`: that torch cannot run the recipe on a CPU, which the probe reports.
`not run`: the fault is newer than the figures of that torch.
`nox -s probe-truth -- --write` writes this page. The probe's worker trains the faults of one torch one after the other,
in one process. Environments are checked as a user would, by `vc2doctor check`, and with `--as-user` each fault has a
run of `vc2doctor probe` of its own. `tests/target/test_planted_faults.py` trains most of them on torch 2.13.0.

"""


def main() -> int:
    """Run faults and keep their rows, or print the table of the kept rows; return 1 if a row is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.probe_truth")
    parser.add_argument("--rows", type=Path, required=True, help="JSON Lines file that keeps the rows")
    parser.add_argument("--torch", help="release of torch in --python: run all faults there")
    parser.add_argument("--as-user", action="store_true", help="with --torch: one run of the doctor for each fault")
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
        fault = next(fault for fault in ENVIRONMENT_FAULTS if fault.name == options.environment)
        return _keep([truth.environment_row(fault, options.python, options.clean)], options.rows)
    if options.seeds:
        return _compare_seeds(options.python)
    if options.torch:
        rows = truth.rows if options.as_user else together.rows
        return _keep(rows(options.python, options.torch, FAULTS), options.rows)
    return _print_table(options.rows, options.page)


def _keep(rows: Iterable[truth.Row], path: Path) -> int:
    """Print each row and append it to the file at ``path``."""
    for row in rows:
        print(truth.line(row), flush=True)
        record = {"fault": row.fault.name, "recipe": row.fault.recipe, "torch": row.environment, "is": row.verdict}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
    return 0


def _compare_seeds(python: str) -> int:
    runs = [truth.outcomes(python, seed, attention) for attention in truth.ATTENTIONS for seed in truth.SEEDS]
    for name, outcome in runs[0].items():
        outcomes = {run[name] for run in runs}
        print(f"{'same' if outcomes == {outcome} else 'DIFFERENT':<10} {name:<32} {', '.join(sorted(outcomes))}")
    return int(any(run != runs[0] for run in runs))


def _print_table(rows: Path, page: Path | None) -> int:
    by_fault: truth.Verdicts = {}
    for text in rows.read_text(encoding="utf-8").splitlines():
        record = json.loads(text)
        by_fault.setdefault((record["fault"], record["recipe"]), {})[record["torch"]] = record["is"]
    table = truth.markdown(by_fault)
    print(table)
    verdicts = [verdict for by_torch in by_fault.values() for verdict in by_torch.values()]
    print(", ".join(f"{verdicts.count(kind)} {kind}" for kind in ("right", "unsupported", "wrong")))
    if page:
        page.write_text(_PAGE + table, encoding="utf-8")
    return int("wrong" in verdicts)


if __name__ == "__main__":
    sys.exit(main())
