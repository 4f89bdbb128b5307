"""Keeps the answers of ``check``, ``gate`` and ``probe``, and uses them again while nothing has changed.

Only answers that say something for sure are kept: fit, unfit and measured. An answer is used only if nothing that it
depends on has changed (``cache_key``), and for a limited time (``core/store.py``). The report says that it is not new.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from vc2doctor.commands.report import Kept, Report
from vc2doctor.commands.request import CheckRequest, ExaminationRequest, GateRequest, ProbeRequest
from vc2doctor.core import parsing, store
from vc2doctor.core.data import Data, OwnData
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.store import Store

if TYPE_CHECKING:
    from vc2doctor.commands.cache_key import KeyFacts
    from vc2doctor.environment.fingerprint import Ask

_KEPT_VERDICTS = ("fit", "unfit", "measured")
_FOLDER = "answers"

OnProgress = Callable[[str], None]


class _Answer(Data):
    """A file of the cache."""

    report: Report
    depends_on: Mapping[str, str]
    """Files that were found to matter during the examination, with their digests."""


class Use(OwnData):
    """How the cache is used."""

    fresh: bool = False
    """Whether to examine although there is an answer, and to replace that."""
    outputs: tuple[Path, ...] = ()
    """The files that the report will be written to: they are not part of what is examined."""


def check(request: CheckRequest, folder: Path, on_progress: OnProgress, use: Use) -> Report:
    """Return the kept answer on ``request``; without one, examine and keep the answer.

    Raises:
        DoctorError: the request, the matrix or the target interpreter cannot be used.
    """

    def run() -> Report:
        from vc2doctor.commands.check import check as examine  # noqa: PLC0415 - a kept answer needs none of it

        return examine(request, folder, on_progress)

    if request.verify_remedy or request.update_baseline or _is_quick(request):
        # A trial of the remedy depends on a package index, and a baseline is written: no kept answer replaces that.
        return run()

    return _answer(partial(_facts, request, folder, use), run, use)


def gate(request: GateRequest, folder: Path, on_progress: OnProgress, use: Use) -> Report:
    """Return the kept answer on the command of ``request``; without one, examine and keep the answer.

    Raises:
        DoctorError: the command, the matrix or the target interpreter cannot be used.
    """

    def run() -> Report:
        from vc2doctor.commands.gate import gate as examine  # noqa: PLC0415 - a kept answer needs none of it

        return examine(request, folder, on_progress)

    if request.check.update_baseline:
        return run()

    def facts(ask: "Ask") -> "KeyFacts | None":
        from vc2doctor.commands import cache_facts  # noqa: PLC0415 - as in `_facts`

        return cache_facts.of_gate(request, folder, use.outputs, ask)

    return _answer(facts, run, use)


def probe(request: ProbeRequest, folder: Path, on_progress: OnProgress, use: Use) -> Report:
    """Return the kept answer on what ``request`` trains or measures; without one, probe and keep the answer.

    Raises:
        DataError: the file of texts is wrong.
        MatrixError: a file of the matrix is wrong, or the profile does not exist.
        RequestError: the options contradict each other, or name something that does not exist or cannot be trained.
        TargetError: the target interpreter cannot be examined.
    """

    def run() -> Report:
        from vc2doctor.commands.probe import probe as examine  # noqa: PLC0415 - a kept answer needs none of it

        return examine(request, folder, on_progress)

    if request.entry is not None:
        # The user's own function may read any file and any address, so nothing shows that it would do the same again.
        return run()

    return _answer(partial(_facts, request, folder, use), run, use)


def _facts(request: ExaminationRequest, folder: Path, use: Use, ask: "Ask") -> "KeyFacts":
    """Return the facts for a check or a probe."""
    from vc2doctor.commands import cache_facts  # noqa: PLC0415 - a check that keeps no answer needs none of it

    return cache_facts.gather(request, folder, use.outputs, ask_target=ask)


def _ask_once() -> "Ask":
    """Return a function that asks a target once from where it imports.

    The files there are looked at before and after the examination. To start the interpreter twice would show no more:
    what changes its answer is one of these files.
    """

    @cache
    def ask(python: str, timeout: float) -> Mapping[str, Any]:
        from vc2doctor.environment import fingerprint  # noqa: PLC0415 - as in `check`

        return fingerprint.ask(python, timeout)

    return ask


def _is_quick(request: CheckRequest) -> bool:
    """Return whether the examination takes no longer than to find out whether its answer is kept.

    It reads no code and trains nothing. As no versions are accepted without training, it cannot end with ``fit``
    either.
    """
    return not request.probe and request.accept is None and request.code is None


def _answer(facts: "Callable[[Ask], KeyFacts | None]", run: Callable[[], Report], use: Use) -> Report:
    folder = store.user_folder(os.environ)
    if folder is None:
        return run()
    kept = Store(folder / _FOLDER)
    gather = partial(facts, _ask_once())
    name = _key(gather)
    answer = _read(kept, name) if name is not None and not use.fresh else None
    if answer is not None:
        return answer
    report = run()
    # If something has changed during the examination, it is not known which state was examined.
    if name is not None and report.verdict in _KEPT_VERDICTS and _key(gather) == name:
        new = _Answer(report=report, depends_on=_dependencies(report))
        # Names of files need not be UTF-8: escaped as ASCII they can be written.
        kept.write(name, json.dumps(new.model_dump(mode="json", by_alias=True)).encode("ascii"))
    return report


def _key(gather: "Callable[[], KeyFacts | None]") -> str | None:
    """Return the key of an answer; ``None``: the facts cannot be gathered, so no answer is kept.

    The examination itself says what is wrong with an environment that cannot be looked at.
    """
    from vc2doctor.commands.cache_key import key  # noqa: PLC0415 - as in `check`

    try:
        facts = gather()
    except (DoctorError, OSError):
        return None
    return key(facts) if facts is not None else None


def _read(kept: Store, name: str) -> Report | None:
    stored = kept.read(name)
    if stored is None:
        return None
    try:
        answer = _Answer.model_validate(parsing.parse_json(stored.content))
    except (parsing.MalformedError, ValidationError):
        kept.remove(name)
        return None
    if answer.report.verdict not in _KEPT_VERDICTS or _dependencies(answer.report) != dict(answer.depends_on):
        kept.remove(name)
        return None
    examined = datetime.fromtimestamp(stored.seconds, timezone.utc).isoformat(timespec="seconds")
    age = round(max(0.0, time.time() - stored.seconds), 1)
    return answer.report.model_copy(update={"kept": Kept(examined=examined, age_seconds=age)})


def _dependencies(report: Report) -> dict[str, str]:
    """Return the digests of the files that only the examination found out about."""
    from vc2doctor.environment.fingerprint import digest_of_file  # noqa: PLC0415 - as in `check`

    config = report.plan.judged_as.config
    paths = [*([config] if config is not None else []), *report.plan.files_read]
    return {path: digest_of_file(path) for path in dict.fromkeys(paths)}
