"""``python -m tests.broken``: the command behind ``nox -s remedy-truth``."""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path

from tests.broken.sets import Machine, Row, draw, measure


def main() -> int:
    """Measure sets, print them, and return 1 if one does not show what it should."""
    parser = argparse.ArgumentParser(prog="python -m tests.broken")
    parser.add_argument("--sets", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder for environments")
    parser.add_argument("--interpreter", required=True, help="Python 3.11")
    parser.add_argument("--rows", type=Path, required=True, help="JSON Lines file to add the rows to")
    options = parser.parse_args()
    generator = random.Random(options.seed)  # noqa: S311 - a sample, not a secret
    machine = Machine(options.folder, options.interpreter)
    rows: list[Row] = []
    done: set[str] = set()
    drawn = 0
    last_culprit = ""
    for broken in draw(generator):
        if len(rows) == options.sets:
            break
        if broken.name in done or broken.culprit == last_culprit or not machine.build(broken):
            continue
        done.add(broken.name)
        drawn += 1
        error = machine.train()
        if error == "trains":
            continue
        last_culprit = broken.culprit
        rows.append(measure(broken, error, machine))
        print(f"{len(rows)}/{options.sets} {rows[-1].name}: {'; '.join(rows[-1].faults) or 'right'}", flush=True)
        with options.rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**rows[-1]._asdict(), "faults": rows[-1].faults}) + "\n")
    culprits = sorted({row.culprit for row in rows})
    print(f"{sum(not row.faults for row in rows)} of {len(rows)} right; {drawn} sets drawn; culprits: {culprits}")
    return int(any(row.faults for row in rows))


if __name__ == "__main__":
    sys.exit(main())
