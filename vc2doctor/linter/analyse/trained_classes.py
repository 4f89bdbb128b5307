"""Whether the programs that train use a class, and whether a run has to choose it by name."""

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.read.module import Class, Function, Module


def is_trained(facts: Facts, function: Function) -> bool:
    """Return whether a program that trains uses a function; ``True`` if no such program is known."""
    module, unit = function.module, facts.code.unit_of(function.module)
    programs = _programs(facts, unit)
    if not programs:
        return True
    users = _users(facts, function)
    if users:
        return bool(users & facts.reach.classes_of(unit, programs))
    return any(module in facts.code.import_closure(program) for program in programs)


def is_chosen_by_name(facts: Facts, function: Function) -> bool:
    """Return whether programs that train use a function only if a run names its model: ``if "mpt" in path:``."""
    unit = facts.code.unit_of(function.module)
    programs = _programs(facts, unit)
    used = _users(facts, function) & facts.reach.classes_of(unit, programs)
    return bool(used) and not used & facts.reach.classes_of(unit, programs, without_named=True)


def _users(facts: Facts, function: Function) -> frozenset[Class]:
    """Return the class of a method; of another function the classes whose methods call it, if only such call it."""
    if function.cls is not None:
        return frozenset([function.cls])
    classes = [call.place.function.cls for call in facts.code.callers(function)]
    return frozenset(cls for cls in classes if cls is not None) if None not in classes else frozenset()


def _programs(facts: Facts, unit: Unit) -> frozenset[Module]:
    """Return the modules with a training loop of a unit, and those that give a model to a trainer or optimizer."""
    loops = {loop.function.module for loop in facts.loops.of(unit)}
    return frozenset(loops | {trained.consumer.place.module for trained in facts.lineages.trained})
