"""Measures cells side by side; what was measured before is not measured again."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
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

_LEAST_GIGABYTES = 15.0
"""Two releases of torch, their packages and the room to unpack them."""


class Settings(Data):
    """How cells are measured."""

    interpreters: dict[str, str]
    """By minor version: the interpreter that environments are made with."""
    environment: dict[str, str]
    """What uv is told."""
    device: str = "cpu"
    jobs: int = 1
    timeout: float = 600.0
    folder: Path
    """Where environments stand while they are measured."""


class Progress(Data):
    """One measurement ended."""

    asked: CellSpec
    line: EvidenceLine | None
    trouble: str | None = None
    """Why there is no line."""
    done: int
    of: int
    remaining: float
    """Seconds that the rest will take, by those that ended."""


def outstanding(cells: Iterable[CellSpec], known: Iterable[EvidenceLine]) -> list[CellSpec]:
    """Return the cells that nobody measured with this worker, each once, those of one torch together."""
    measured = {key_of(line) for line in known if line.worker == WORKER_VERSION}
    found: dict[tuple[str, ...], CellSpec] = {}
    for asked in cells:
        if asked.key not in measured:
            found.setdefault(asked.key, asked)
    return sorted(found.values(), key=lambda asked: Version(asked.cell.torch), reverse=True)


def measure_all(
    cells: list[CellSpec],
    settings: Settings,
    on_line: Callable[[Progress], None],
    keep: Callable[[EvidenceLine], object],
) -> None:
    """Measure ``cells``, ``jobs`` at a time; ``keep`` gets each line as it comes, in this thread."""
    began = time.monotonic()
    waiting = list(cells)
    with ThreadPoolExecutor(settings.jobs) as pool:
        running: dict[Future[EvidenceLine], CellSpec] = {}
        done, last = 0, ""
        try:
            while waiting or running:
                while waiting and len(running) < settings.jobs and _may_start(waiting[0], running.values(), settings):
                    asked = waiting.pop(0)
                    if asked.cell.torch != last:
                        _make_room([*running.values()], settings)
                        last = asked.cell.torch
                    running[pool.submit(measure, asked, settings)] = asked
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    done += 1
                    each = (time.monotonic() - began) / done
                    asked = running.pop(future)
                    line, trouble = _result(future)
                    if line is not None:
                        keep(line)
                    left = each * (len(cells) - done)
                    on_line(Progress(asked=asked, line=line, trouble=trouble, done=done, of=len(cells), remaining=left))
        except BaseException:
            for future in running:
                future.cancel()
            raise


def _may_start(asked: CellSpec, running: Iterable[CellSpec], settings: Settings) -> bool:
    """Return whether the disk is wide enough for another torch beside those in use."""
    others = {other.cell.torch for other in running} - {asked.cell.torch}
    return not others or build.free_gigabytes(settings.folder) >= _LEAST_GIGABYTES


def measure(asked: CellSpec, settings: Settings) -> EvidenceLine:
    """Build the environment of ``asked``, probe it, remove it, and return the line of evidence.

    Raises:
        DoctorError: it could not be measured, and that says nothing of the cell.
    """
    folder = Path(tempfile.mkdtemp(prefix="cell-", dir=settings.folder)) / "env"
    began = time.monotonic()
    try:
        wanted = settings.interpreters.get(asked.cell.python, asked.cell.python)
        failure = build.build(asked, wanted, folder, settings.environment)
        if failure is not None:
            return _not_installed(asked, failure, time.monotonic() - began)
        line = evidence.measure(str(folder), asked.name, settings.device, settings.timeout)
        return line.model_copy(update={"asked": asked.extras})
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)


def _not_installed(asked: CellSpec, failure: build.InstallFailure, seconds: float) -> EvidenceLine:
    return EvidenceLine(
        schema=1,
        name=asked.name,
        date=datetime.now(timezone.utc).date().isoformat(),
        worker=WORKER_VERSION,
        cell=asked.cell,
        asked=asked.extras,
        install=failure.outcome,
        install_message=failure.message,
        resolved={},
        platform=f"{os.uname().sysname.lower()}-{os.uname().machine}",
        device="none",
        recipes={},
        adapter="not reached",
        seconds=round(seconds, 3),
    )


def _result(future: "Future[EvidenceLine]") -> tuple[EvidenceLine | None, str | None]:
    try:
        return future.result(), None
    except DoctorError as error:
        return None, str(error)


def _make_room(running: list[CellSpec], settings: Settings) -> None:
    """Throw away the torch builds in uv's cache before the next torch, where the disk is short and none is in use."""
    if not running and build.free_gigabytes(settings.folder) < _LEAST_GIGABYTES:
        build.clean_cache(settings.environment)
