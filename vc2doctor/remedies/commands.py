"""Install commands that a user can paste into a shell."""

import shlex
from collections.abc import Iterable

from vc2doctor.environment.model import Interpreter


def install(interpreter: Interpreter, requirements: Iterable[str], *options: str) -> str:
    """Return the command that installs ``requirements`` into the environment of ``interpreter``.

    An environment without pip (uv creates such) gets a command of uv. If pip refuses to install (PEP 668), the command
    creates a venv first.
    """
    arguments = [*options, *requirements]
    if interpreter.externally_managed:
        create_venv = shlex.join([interpreter.path, "-m", "venv", ".venv"])
        return f"{create_venv} && {shlex.join(['.venv/bin/python', '-m', 'pip', 'install', *arguments])}"
    if interpreter.has_pip:
        return shlex.join([interpreter.path, "-m", "pip", "install", *arguments])
    return shlex.join(["uv", "pip", "install", "--python", interpreter.path, *arguments])
