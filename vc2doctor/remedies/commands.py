"""Commands to paste."""

import shlex
from collections.abc import Iterable

from vc2doctor.environment.model import Interpreter


def install(interpreter: Interpreter, requirements: Iterable[str], *options: str) -> str:
    """Return the command that installs ``requirements`` in the environment of ``interpreter``.

    An environment without pip (uv makes such) gets uv's; one that its distribution manages gets a venv of its own.
    """
    wanted = [*options, *requirements]
    if interpreter.externally_managed:
        fresh = shlex.join([interpreter.path, "-m", "venv", ".venv"])
        return f"{fresh} && {shlex.join(['.venv/bin/python', '-m', 'pip', 'install', *wanted])}"
    if interpreter.has_pip:
        return shlex.join([interpreter.path, "-m", "pip", "install", *wanted])
    return shlex.join(["uv", "pip", "install", "--python", interpreter.path, *wanted])
