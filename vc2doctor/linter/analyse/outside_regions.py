"""Classes of a project whose objects are only called where autocast is off, although their program has regions."""

from collections.abc import Iterator

from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.stage import is_inference_name
from vc2doctor.linter.analyse.tensor_dtypes import TensorFacts
from vc2doctor.linter.analyse.tensor_kinds import Mode
from vc2doctor.linter.read.module import Call, Class, Function, last_name

_TRAINING_METHODS = ("forward", "__call__", "training_step")


class OutsideClasses:
    """Tells which classes are never computed in the autocast regions around their program."""

    def __init__(self, code: CodeFacts, tensors: TensorFacts, used: frozenset[Class]) -> None:
        self._code = code
        self._used = used
        self._tensors = tensors
        self._answers: dict[Class, bool] = {}

    def has(self, cls: Class) -> bool:
        """Return whether every object of a class is called where autocast is off, or is part of such an object."""
        if cls not in self._answers:
            # Ends the recursion of classes that construct each other.
            self._answers[cls] = False
            made = [call for call in self._constructions(cls) if call.place.function.cls is not cls]
            self._answers[cls] = bool(made) and all(self._is_outside(call) for call in made)
        return self._answers[cls]

    def _constructions(self, cls: Class) -> Iterator[Call]:
        for call in self._code.unit_of(cls.module).calls.get(cls.name, []):
            owner = call.place.function.cls
            is_used = owner is None or owner in self._used
            if is_used and self._code.class_named(call.place.module, call.node.func) is cls:
                yield call

    def _is_outside(self, construction: Call) -> bool:
        """Return whether the class that makes an object calls it outside only, or is itself outside."""
        owner = construction.place.function.cls
        if owner is None:
            return False
        names = [
            name
            for name, assigned in owner.attributes.items()
            if any(value is construction.node for value, _ in assigned)
        ]
        calls = [call for name in names for call in _calls_of_attribute(owner, name)]
        if calls and all(self._is_off(call) for call in calls):
            return True
        return self.has(owner)

    def _is_off(self, call: Call) -> bool:
        is_off = self._tensors.mode_at(call.place, Mode.AUTOCAST) is not Mode.AUTOCAST
        return is_off or is_inference_name(call.place.function.name)


def _calls_of_attribute(owner: Class, name: str) -> Iterator[Call]:
    """Yield the calls of ``self.name(…)`` in the forward pass of a class and in the methods that it calls."""
    waiting, seen = [method for method in owner.methods.values() if method.name in _TRAINING_METHODS], set[Function]()
    while waiting:
        method = waiting.pop()
        seen.add(method)
        own = [call for call in owner.module.calls_in(method) if last_name(call.receiver) == "self"]
        yield from (call for call in own if call.name == name)
        called = (owner.methods[call.name] for call in own if call.name in owner.methods)
        waiting.extend(each for each in called if each not in seen)
