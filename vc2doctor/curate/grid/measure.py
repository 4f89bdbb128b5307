"""Measure cells, several at a time, and skip those that were measured before."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

from packaging.version import Version

from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.curate import evidence
from vc2doctor.curate.grid import build
from vc2doctor.curate.grid.cells import CellSpec, key_of
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.target.shared.protocol import WORKER_VERSION

MIN_FREE_GIGABYTES = 15.0
"""Room for two releases of torch with their packages, and for unpacking them."""


class GridSettings(Data):
    """How cells are measured."""

    interpreters: dict[str, str]
    """By minor version: the interpreter that environments are made with."""
    environment: dict[str, str]
    """Environment variables for uv."""
    device: str = "cpu"
    jobs: int = 1
    timeout: float = 600.0
    """Seconds for one probe."""
    folder: Path
    """The folder that holds environments while they are measured."""


class Progress(Data):
    """The result of one measurement, and how many are left."""

    spec: CellSpec
    line: EvidenceLine | None
    error: str | None = None
    """Why there is no line."""
    done: int
    total: int
    remaining_seconds: float
    """Estimated from the average of those that are done."""


def outstanding(specs: Iterable[CellSpec], known: Iterable[EvidenceLine]) -> list[CellSpec]:
    """Return the cells that were not measured with this version of the worker, each once, sorted by torch."""
    measured = {key_of(line) for line in known if line.worker == WORKER_VERSION}
    by_key: dict[tuple[str, ...], CellSpec] = {}
    for spec in specs:
        if spec.key not in measured:
            by_key.setdefault(spec.key, spec)
    # Cells of one torch are measured together, so that its wheels can leave the cache after them.
    return sorted(by_key.values(), key=lambda spec: Version(spec.cell.torch), reverse=True)


def measure_all(
    specs: list[CellSpec],
    settings: GridSettings,
    on_progress: Callable[[Progress], None],
    on_line: Callable[[EvidenceLine], object],
) -> None:
    """Measure cells, ``settings.jobs`` at a time; both callbacks are called in this thread."""
    start = time.monotonic()
    # Closed at once if a callback raises, so that no further measurement begins.
    with closing(_finished(specs, settings)) as finished:
        for done, (spec, line, error) in enumerate(finished, start=1):
            average = (time.monotonic() - start) / done
            if line is not None:
                on_line(line)
            on_progress(
                Progress(
                    spec=spec,
                    line=line,
                    error=error,
                    done=done,
                    total=len(specs),
                    remaining_seconds=average * (len(specs) - done),
                )
            )


def _finished(
    specs: Iterable[CellSpec], settings: GridSettings
) -> Generator[tuple[CellSpec, EvidenceLine | None, str | None], None, None]:
    """Yield each cell when its measurement ends, with its line of evidence or the error."""
    waiting = list(specs)
    running: dict[Future[EvidenceLine], CellSpec] = {}
    last_torch = ""
    with ThreadPoolExecutor(settings.jobs, thread_name_prefix="slot") as pool:
        try:
            while waiting or running:
                while waiting and len(running) < settings.jobs and _may_start(waiting[0], running.values(), settings):
                    spec = waiting.pop(0)
                    if spec.cell.torch != last_torch:
                        _make_room(running.values(), settings)
                        last_torch = spec.cell.torch
                    running[pool.submit(measure, spec, settings)] = spec
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), *_result(future)
        finally:
            # After an interrupt, measurements that have not begun must not begin.
            for future in running:
                future.cancel()


def _may_start(spec: CellSpec, running: Collection[CellSpec], settings: GridSettings) -> bool:
    """Return whether the disk has room for the torch of ``spec`` beside those in use."""
    others = {other.cell.torch for other in running} - {spec.cell.torch}
    return not others or build.free_gigabytes(settings.folder) >= MIN_FREE_GIGABYTES


def _make_room(running: Collection[CellSpec], settings: GridSettings) -> None:
    """Remove the builds of torch from uv's cache if the disk is short and no build is in use."""
    if not running and build.free_gigabytes(settings.folder) < MIN_FREE_GIGABYTES:
        build.clean_cache(settings.environment)


def _result(future: "Future[EvidenceLine]") -> tuple[EvidenceLine | None, str | None]:
    try:
        return future.result(), None
    except DoctorError as error:
        return None, str(error)


def measure(spec: CellSpec, settings: GridSettings) -> EvidenceLine:
    """Build the environment of ``spec``, probe it, remove it, and return the line of evidence.

    Raises:
        DoctorError: the cell could not be measured because of this machine.
    """
    # Each thread builds in one place, so that bytecode stays valid for the files that the next cell shares.
    folder = settings.folder / threading.current_thread().name / "env"
    start = time.monotonic()
    try:
        interpreter = settings.interpreters.get(spec.cell.python, spec.cell.python)
        failure = build.build(spec, interpreter, folder, settings.environment)
        if failure is not None:
            return _not_installed(spec, failure, time.monotonic() - start)
        line = evidence.measure(str(folder), spec.name, settings.device, settings.timeout)
        return line.model_copy(update={"asked": spec.extras})
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)


def _not_installed(spec: CellSpec, failure: build.InstallFailure, seconds: float) -> EvidenceLine:
    return EvidenceLine(
        schema=1,
        name=spec.name,
        date=datetime.now(timezone.utc).date().isoformat(),
        worker=WORKER_VERSION,
        cell=spec.cell,
        asked=spec.extras,
        install=failure.outcome,
        install_message=failure.message,
        resolved={},
        platform=f"{os.uname().sysname.lower()}-{os.uname().machine}",
        device="none",
        recipes={},
        adapter="not reached",
        seconds=round(seconds, 3),
    )
