"""Every source, asked once."""

from pathlib import Path

from vc2doctor.environment import cpu, interpreter, nvidia, shadow
from vc2doctor.environment.model import Environment


def gather(python: str, folder: Path) -> Environment:
    """Return the facts of the interpreter at ``python`` for a training script started in ``folder``.

    Raises:
        TargetError: the interpreter does not answer.
    """
    facts = interpreter.observe(python)
    installed = frozenset(module.name for module in facts.modules if module.origin is not None)
    return Environment(
        interpreter=facts.interpreter,
        platform=facts.platform,
        distributions=facts.distributions,
        modules=facts.modules,
        shadows=shadow.observe(folder, installed),
        cpu=cpu.observe(),
        nvidia=nvidia.observe(),
    )
