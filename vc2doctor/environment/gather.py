"""Ask every source of facts once."""

from pathlib import Path

from vc2doctor.environment import cpu, interpreter, nvidia, shadow
from vc2doctor.environment.model import Environment


def gather(python: str, folder: Path) -> Environment:
    """Return the facts about the interpreter at ``python``, for a training script that is started in ``folder``.

    Raises:
        TargetError: the interpreter cannot be started, or is not a usable Python.
    """
    target = interpreter.observe(python)
    installed = frozenset(module.name for module in target.modules if module.origin is not None)
    return Environment(
        interpreter=target.interpreter,
        platform=target.platform,
        distributions=target.distributions,
        modules=target.modules,
        shadows=shadow.observe(folder, installed),
        cpu=cpu.observe(),
        nvidia=nvidia.observe(),
    )
