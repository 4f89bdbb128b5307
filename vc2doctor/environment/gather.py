"""Ask every source of facts once."""

from pathlib import Path

from vc2doctor.environment import interpreter
from vc2doctor.environment.model import Environment, TargetChoice
from vc2doctor.environment.sources import Context, sources


def gather(choice: TargetChoice, folder: Path) -> Environment:
    """Return the facts about the interpreter of ``choice``, for a training script that is started in ``folder``.

    Raises:
        TargetError: the interpreter cannot be started, or is not a usable Python.
    """
    target = interpreter.observe(choice.python)
    installed = frozenset(module.name for module in target.modules if module.origin is not None)
    context = Context(folder, installed, Path(target.interpreter.prefix))
    observed = {source.name: source.observe(context) for source in sources()}
    return Environment(
        choice=choice,
        interpreter=target.interpreter,
        platform=target.platform,
        distributions=target.distributions,
        modules=target.modules,
        shadows=observed.pop("shadows"),
        cpu=observed.pop("cpu"),
        nvidia=observed.pop("nvidia"),
        further=observed,
    )
