"""``python -m tests.fuzz``: search the parsers one after the other, and print what was covered and what was found."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.minimize import minimized
from tests.fuzz.parsers import PARSERS, PLANTED, ROOT, Parser, seeds

CASES = Path(__file__).with_name("cases")
SECONDS = 600
HANG_SECONDS = 10
"""An input that takes longer is a hang. Real inputs take milliseconds."""
MAX_PLANTED_SECONDS = 120
"""A planted fault is found in seconds; a hang needs ``HANG_SECONDS`` more."""
MEMORY_MIB = 4096
MAX_INPUT_BYTES = 65536
MAX_WORDS = 400
"""Words of the seeds in the dictionary of the search."""
_EXECUTIONS = re.compile(r"^#(\d+)\s", re.MULTILINE)


class Row(NamedTuple):
    """What the search of one parser found."""

    name: str
    executions: int
    seconds: float
    """Wall clock of the search alone."""
    corpus: int
    """Inputs that each reach something new."""
    covered: str
    fault: Path | None


def main() -> int:
    """Search, print a table, keep the inputs of faults as cases, and return 1 if there are any.

    Return 1 as well if the search misses a fault that was planted.
    """
    options = _options()
    selected = options.parser or [*PARSERS, *PLANTED]
    rows = []
    for name in (name for name in selected if name in PARSERS):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(_search(name, PARSERS[name], Path(folder), options.seconds))
        print(_line(rows[-1]), flush=True)
    found = [_finds_planted(name, min(options.seconds, MAX_PLANTED_SECONDS)) for name in selected if name in PLANTED]
    return int(any(row.fault for row in rows) or not all(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each parser")
    parser.add_argument("--parser", action="append", choices=[*PARSERS, *PLANTED], help="this one alone; repeatable")
    return parser.parse_args()


def _search(name: str, parser: Parser, folder: Path, seconds: int) -> Row:
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(seeds(parser)):
        (corpus / f"seed-{number}").write_bytes(data)
    start = time.monotonic()
    output = _libfuzzer(name, folder, f"-max_total_time={seconds}", f"-dict={_dictionary(parser, folder)}")
    elapsed = time.monotonic() - start
    fault = _fault(folder)
    kept = _keep(name, fault) if fault else None
    executions = max((int(number) for number in _EXECUTIONS.findall(output)), default=0)
    return Row(name, executions, elapsed, sum(1 for _ in corpus.iterdir()), _coverage(name, corpus), kept)


def _libfuzzer(name: str, folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "tests.fuzz.search", name, str(folder / "corpus"), *options]
    limits = [f"-timeout={HANG_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={MAX_INPUT_BYTES}"]
    place = f"-artifact_prefix={folder}/fault-"
    result = subprocess.run([*command, *limits, place], cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout + result.stderr


def _dictionary(parser: Parser, folder: Path) -> Path:
    words: dict[str, None] = {}
    for data in seeds(parser):
        words.update(dict.fromkeys(re.findall(r"[A-Za-z_]{3,24}|==|>=|[{}\\[\\]:]", data.decode("utf-8", "replace"))))
    path = folder / "words.dict"
    lines = [json.dumps(word, ensure_ascii=True) for word in [*words][:MAX_WORDS]]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def _fault(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("fault-*"))), None)


def _keep(name: str, fault: Path) -> Path:
    """Return the case of a fault: its input, as small as a minute of trying makes it."""
    data = minimized(PARSERS[name], fault.read_bytes())
    case = CASES / name / hashlib.sha256(data).hexdigest()[:12]
    case.parent.mkdir(parents=True, exist_ok=True)
    case.write_bytes(data)
    return case


def _coverage(name: str, corpus: Path) -> str:
    """Return the share of the lines of the parser that its corpus covers."""
    modules = ",".join(PARSERS[name].modules)
    data = f"--data-file={corpus.parent / 'coverage'}"
    replay = ["-m", "coverage", "run", data, f"--include={modules}", "-m", "tests.fuzz.replay", name, str(corpus)]
    subprocess.run([sys.executable, *replay], cwd=ROOT, capture_output=True, check=False)
    total = [sys.executable, "-m", "coverage", "report", data, "--format=total"]
    answer = subprocess.run(total, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return f"{answer} %" if answer.isdigit() else "unknown"


def _finds_planted(name: str, seconds: int) -> bool:
    """Return whether the search finds a fault on purpose, and say so."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "corpus").mkdir()
        _libfuzzer(name, Path(folder), f"-max_total_time={seconds}")
        is_found = _fault(Path(folder)) is not None
    print(f"{name}: {'found' if is_found else 'NOT found'}", flush=True)
    return is_found


def _line(row: Row) -> str:
    fault = f"FAULT, kept in {row.fault.relative_to(ROOT)}" if row.fault else "no fault"
    search = f"{row.executions:>9,} inputs in {row.seconds:>4.0f} s  {row.corpus:>5} kept"
    return f"{row.name:14} {search}  {row.covered:>8} of its lines  {fault}"


if __name__ == "__main__":
    sys.exit(main())
