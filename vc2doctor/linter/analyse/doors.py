"""Maps the code of a project to the doors of the probe: the ways into the stack that the code trains through."""

from collections.abc import Iterator

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.target.doors import DOORS


def doors_of(facts: Facts) -> tuple[str, ...]:
    """Return the names of the doors whose signs the code shows, in the order of the table."""
    names = {name for unit in facts.code.units.values() for name in _used_names(facts, unit)}
    return tuple(door.name for door in DOORS.values() if any(_matches(name, door.signs) for name in names))


def _used_names(facts: Facts, unit: Unit) -> Iterator[str]:
    """Yield the dotted names of what the unit calls and of the classes that it derives from."""
    yield from unit.calls
    for classes in unit.classes.values():
        for cls in classes:
            yield from facts.code.base_names(cls)


def _matches(name: str, signs: tuple[str, ...]) -> bool:
    return any(_is_sign(name, sign) for sign in signs)


def _is_sign(name: str, sign: str) -> bool:
    """Return whether a dotted name is the sign, perhaps by a longer path: ``trl.trainer.SFTTrainer``."""
    package, _, rest = sign.partition(".")
    if package == "*":
        return name.endswith(f".{rest}")
    return name == sign or (name.startswith(f"{package}.") and name.endswith(f".{rest}"))
