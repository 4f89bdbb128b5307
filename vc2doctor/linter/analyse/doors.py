"""Maps the code of a project to the doors of the probe: the ways into the stack that the code trains through."""

import ast
from collections.abc import Iterable, Iterator, Mapping

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.read.module import Module
from vc2doctor.target.doors import DOORS
from vc2doctor.target.shared.code_use import CodeUse


def doors_of(facts: Facts, use: CodeUse) -> tuple[str, ...]:
    """Return the names of the doors that the code shows by their signs or by its ``use``, in the order of the table."""
    by_name = doors_in(facts.code.files.modules.values())
    return tuple(
        door.name for door in DOORS.values() if door.name in by_name or (door.is_used is not None and door.is_used(use))
    )


def doors_in(modules: Iterable[Module]) -> tuple[str, ...]:
    """Return the names of the doors whose signs some modules show, in the order of the table."""
    return _uses_in(modules, {door.name: door.signs for door in DOORS.values()})


def uses_of(facts: Facts, signs: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the keys of ``signs`` whose dotted names the code calls, or derives a class from."""
    return _uses_in(facts.code.files.modules.values(), signs)


def _uses_in(modules: Iterable[Module], signs: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    names = {name for module in modules for name in _used_names(module)}
    return tuple(key for key, signs_of_key in signs.items() if any(_matches(name, signs_of_key) for name in names))


def _used_names(module: Module) -> Iterator[str]:
    """Yield the full dotted names of what a module calls, and of the classes that its classes derive from."""
    used = [call.node.func for call in module.calls]
    used += [base for cls in module.classes.values() for base in cls.node.bases]
    for expression in used:
        name = module.dotted(expression) or (f"?.{expression.attr}" if isinstance(expression, ast.Attribute) else "")
        yield name
        # A plain name that nothing else defines may come from any `from x import *`.
        for package in module.star_imports if "." not in name else ():
            yield f"{package}.{name}"


def _matches(name: str, signs: tuple[str, ...]) -> bool:
    return any(_is_sign(name, sign) for sign in signs)


def _is_sign(name: str, sign: str) -> bool:
    """Return whether a dotted name is the sign, perhaps by a longer path: ``trl.trainer.SFTTrainer``."""
    package, _, rest = sign.partition(".")
    if package == "*":
        return name.endswith(f".{rest}")
    return name == sign or (name.startswith(f"{package}.") and name.endswith(f".{rest}"))
