"""What is installed of the doctor itself: ``vc2doctor --version --verbose``."""

import platform
import sys
from collections.abc import Iterable
from importlib import metadata

from packaging.requirements import Requirement

from vc2doctor import __version__
from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.installed import is_met
from vc2doctor.matrix import load
from vc2doctor.target.shared.protocol import WORKER_VERSION

_NAME = "vc2doctor"


class About(Data):
    """The versions of the doctor, and what it was installed with."""

    version: str
    matrix_measured: str
    """The day of the newest measurement in the matrix, or why the matrix cannot be used."""
    matrix_released: str
    """The day on which the releases were listed; empty if the matrix cannot be used."""
    worker: str
    """The version of the part that runs in the examined environment."""
    python: str
    interpreter: str
    extras: dict[str, bool] | None
    """The optional parts, and whether their packages are installed; ``None``: the doctor runs from its source."""


def about() -> About:
    """Return what is installed of the doctor. A matrix that cannot be used is described, and is no error here."""
    try:
        verdicts = load.load(load.shipped()).verdicts
        measured, released = verdicts.measured, verdicts.released
    except DoctorError as error:
        measured, released = f"cannot be used: {error}", ""
    return About(
        version=__version__,
        matrix_measured=measured,
        matrix_released=released,
        worker=WORKER_VERSION,
        python=platform.python_version(),
        interpreter=sys.executable,
        extras=_extras(),
    )


def _extras() -> dict[str, bool] | None:
    try:
        distribution = metadata.distribution(_NAME)
    except metadata.PackageNotFoundError:
        return None
    requirements = [Requirement(text) for text in distribution.requires or ()]
    names = distribution.metadata.get_all("Provides-Extra") or ()
    return {name: is_installed(name, requirements) for name in names}


def is_installed(extra: str, requirements: Iterable[Requirement]) -> bool:
    """Return whether the packages that ``extra`` adds to the doctor are installed in a version that it accepts."""
    added = [each for each in requirements if each.marker is not None and not each.marker.evaluate({"extra": ""})]
    wanted = [each for each in added if each.marker is not None and each.marker.evaluate({"extra": extra})]
    return all(map(is_met, wanted))


def lines(facts: About) -> list[str]:
    """Return the facts as lines for people."""
    released = f", releases listed {facts.matrix_released}" if facts.matrix_released else ""
    if facts.extras is None:
        extras = "unknown, because the doctor runs from its source"
    else:
        extras = ", ".join(
            f"{name} ({'installed' if there else 'not installed'})" for name, there in facts.extras.items()
        )
    return [
        f"vc2doctor, version {facts.version}",
        f"matrix: measured {facts.matrix_measured}{released}",
        f"worker: version {facts.worker}",
        f"Python: {facts.python} ({facts.interpreter})",
        f"extras: {extras or 'none'}",
    ]
