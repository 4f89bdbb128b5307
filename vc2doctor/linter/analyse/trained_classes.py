"""Whether the programs that train use a class, and whether a run has to choose it by name."""

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lineage import Trained
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.read.module import Class, Function, Module

MAX_CLASSES = 40
"""Classes of the parts of one model."""


def classes_of(facts: Facts, trained: Trained) -> list[Class]:
    """Return the class of a trained model and those of its parts."""
    made = (facts.code.class_named(maker.place.module, maker.node.func) for maker in trained.lineage.makers)
    found = [cls for cls in made if cls is not None]
    for cls in found:
        for method in cls.methods.values() if len(found) < MAX_CLASSES else ():
            parts = (facts.code.class_named(cls.module, call.node.func) for call in cls.module.calls_in(method))
            found.extend(part for part in dict.fromkeys(parts) if part is not None and part not in found)
    return found


def is_trained(facts: Facts, function: Function) -> bool:
    """Return whether a program that trains uses a function; ``True`` if no such program is known."""
    module, unit = function.module, facts.code.unit_of(function.module)
    programs = training_modules(facts, unit)
    if not programs:
        return True
    users = _users(facts, function)
    if users:
        return bool(users & facts.reach.classes_of(unit, programs))
    return any(module in facts.code.import_closure(program) for program in programs)


def is_chosen_by_name(facts: Facts, function: Function) -> bool:
    """Return whether programs that train use a function only if a run names its model: ``if "mpt" in path:``."""
    unit = facts.code.unit_of(function.module)
    programs = training_modules(facts, unit)
    used = _users(facts, function) & facts.reach.classes_of(unit, programs)
    return bool(used) and not used & facts.reach.classes_of(unit, programs, without_named=True)


def _users(facts: Facts, function: Function) -> frozenset[Class]:
    """Return the class of a method; of another function the classes whose methods call it, if only such call it."""
    if function.cls is not None:
        return frozenset([function.cls])
    classes = [call.place.function.cls for call in facts.code.callers(function)]
    return frozenset(cls for cls in classes if cls is not None) if None not in classes else frozenset()


def training_modules(facts: Facts, unit: Unit) -> frozenset[Module]:
    """Return the modules with a training loop of a unit, and those that give a model to a trainer or optimizer."""
    loops = {loop.function.module for loop in facts.loops.of(unit)}
    return frozenset(loops | {trained.consumer.place.module for trained in facts.lineages.trained})
