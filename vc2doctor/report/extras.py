"""Packages that a format needs and that do not come with vc2doctor: are they there, and how are they installed?"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from vc2doctor.core import shell
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.installed import is_met
from vc2doctor.environment.choice import tool_of
from vc2doctor.remedies.commands import install_with

_TEMPORARY = ("uvx", "pipx run")
"""Tools that make a new environment for a run: what is installed into it is not there in the next one."""


class MissingPackagesError(DoctorError):
    """A format needs packages that are not installed beside the doctor."""


def check(name: str, requirements: Sequence[str]) -> None:
    """Check that the ``requirements`` of the format ``name`` are installed beside the doctor.

    Raises:
        MissingPackagesError: one of them is not there, or too old. The message says how to install them.
    """
    missing = [text for text in requirements if not is_met(Requirement(text))]
    if missing:
        advice = installation(missing, tool_of(Path(sys.prefix)), sys.executable, has_pip=find_spec("pip") is not None)
        message = f"the format {name} needs {' and '.join(missing)}, the extra vc2doctor[{name}]. {advice}"
        raise MissingPackagesError(message)


def installation(requirements: Sequence[str], tool: str | None, python: str, *, has_pip: bool) -> str:
    """Return a sentence that ends with the command, or with the option, that brings ``requirements``.

    ``tool`` made the environment of the doctor (see ``environment.choice.tool_of``), and ``python`` runs in it.
    """
    if tool in _TEMPORARY:
        options = [word for text in requirements for word in ("--with", text)]
        return f"Put this behind `{tool}`: {shell.join(options)}"
    if tool == "pipx":
        return f"Run: {shell.join(['pipx', 'inject', 'vc2doctor', *requirements])}"
    return f"Run: {install_with(python, requirements, has_pip=has_pip)}"
