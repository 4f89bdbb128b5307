"""Runs the tests on every mutant: a plugin of pytest that forks, so that tests are imported and collected once.

First all tests run on the unchanged code, and coverage records which test runs which line. Then each mutant gets a
process of its own, which is forked with everything imported. There the tests that run the changed statement run again,
the quickest first, until one fails.
"""

from __future__ import annotations

import ast
import functools
import gc
import importlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import coverage
import pytest

from tests.mutants.apply import apply
from tests.mutants.mutations import Mutant

ROOT = Path(__file__).resolve().parents[2]
MIN_CPU_SECONDS = 5.0
CPU_SECONDS_FACTOR = 10
"""A mutant may use this many times the processor time of its tests, and ``MIN_CPU_SECONDS`` more. Wall clock does not
count, since test machines are shared."""
MAX_EXAMPLES = 15
"""Examples of a property for each mutant; 100 would take most of the time."""
MAX_SECONDS = 600
"""Wall clock: the end of a mutant that waits without using the processor."""


class Fate(Enum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    UNREACHED = "not reached by a test"
    TIMED_OUT = "timed out"


class Result(NamedTuple):
    """A mutant, and what became of it."""

    mutant: Mutant
    fate: Fate


class Trial:
    """The plugin: replaces the loop of pytest over the tests."""

    def __init__(
        self, mutants: Sequence[Mutant], root: Path = ROOT, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        self.results: list[Result] = []
        self._progress = progress
        self._mutants = mutants
        self._root = root
        self._seconds: dict[str, float] = {}
        self._is_baseline = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        """Give each property fewer examples. Its first failure is enough, so none is made smaller."""
        import hypothesis  # noqa: PLC0415 - pytest must see it first

        settings = hypothesis.settings
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        settings.register_profile(
            "mutants", deadline=None, database=None, derandomize=True, max_examples=MAX_EXAMPLES, phases=phases
        )
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests once as they are, then on each mutant."""
        _require_success(session, "errors while the tests were collected")
        lines_by_path = self._baseline(session)
        _require_success(session, "tests fail without a mutant")
        self._is_baseline = False
        # Collected garbage would make every child copy the memory that it lies in.
        gc.collect()
        gc.freeze()
        for mutant in self._mutants:
            tests = _tests_of(mutant, session.items, lines_by_path[mutant.path], self._root)
            ordered = sorted(tests, key=lambda item: self._seconds[item.nodeid])
            self.results.append(Result(mutant, self._fate(mutant, ordered) if ordered else Fate.UNREACHED))
            self._progress(len(self.results))
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        """End the process of a mutant at the first test that fails, before pytest describes the failure."""
        if not self._is_baseline and call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception):
            os._exit(1)

    def _baseline(self, session: pytest.Session) -> dict[str, Mapping[int, Iterable[str]]]:
        """Return, by file and line, the tests that run it."""
        paths = sorted({mutant.path for mutant in self._mutants})
        measurement = coverage.Coverage(
            data_file=None, config_file=False, include=[str(self._root / path) for path in paths]
        )
        measurement.start()
        for item, following in _with_following(session.items):
            measurement.switch_context(item.nodeid)
            start = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self._seconds[item.nodeid] = time.process_time() - start
        measurement.stop()
        data = measurement.get_data()
        return {path: data.contexts_by_lineno(str(self._root / path)) for path in paths}

    def _fate(self, mutant: Mutant, items: Sequence[pytest.Item]) -> Fate:
        child = os.fork()
        if not child:
            self._run_mutant(mutant, items)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGALRM):
            return Fate.TIMED_OUT
        return Fate.SURVIVED if status == 0 else Fate.KILLED

    def _run_mutant(self, mutant: Mutant, items: Sequence[pytest.Item]) -> None:
        """Run the tests in this process, which was forked for it, and end it."""
        try:
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            limit = MIN_CPU_SECONDS + CPU_SECONDS_FACTOR * sum(self._seconds[item.nodeid] for item in items)
            signal.setitimer(signal.ITIMER_PROF, limit)
            signal.alarm(MAX_SECONDS)
            apply(mutant, importlib.import_module(mutant.path.removesuffix(".py").replace("/", ".")))
            for item, following in _with_following(items):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            os._exit(0)
        finally:
            os._exit(1)


def _require_success(session: pytest.Session, what: str) -> None:
    if session.testsfailed:
        message = f"{session.testsfailed} {what}"
        raise session.Interrupted(message)


def _with_following(items: Sequence[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    return zip(items, [*items[1:], None], strict=True)


def _tests_of(
    mutant: Mutant, items: Sequence[pytest.Item], tests_by_line: Mapping[int, Iterable[str]], root: Path
) -> list[pytest.Item]:
    """Return the tests that run the statement of a mutant; of a constant, all that run its module."""
    lines: Iterable[int] = tests_by_line
    if not mutant.is_constant:
        lines = statement_lines((root / mutant.path).read_text(encoding="utf-8"))[mutant.line]
    names = {name for line in lines for name in tests_by_line.get(line, ())}
    return [item for item in items if item.nodeid in names]


@functools.cache
def statement_lines(text: str) -> dict[int, range]:
    """Return, for each line of a file, the lines of the innermost statement that it belongs to.

    Of a statement with a body, such as ``if``, those are the lines above the body. Those above the body of a function
    run when it is defined, so they belong to the whole function.
    """
    lines: dict[int, range] = {}
    # Breadth first: an inner statement overwrites the one around it.
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt):
            body = None if isinstance(node, ast.FunctionDef) else getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno
            span = range(node.lineno, max(node.lineno, last or 0) + 1)
            lines.update(dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), span))
    return lines
