"""The modules that calls run: the layers of torch behind a name, and records of tensors."""

import ast

from vc2doctor.linter.analyse.module_lists import ModuleLists
from vc2doctor.linter.analyse.origins import ObjectFacts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.tensor_kinds import Kind, Mode, is_torch_layer, of_layer
from vc2doctor.linter.read.module import Call


class Layers:
    """The layers of torch in one project."""

    def __init__(self, code: CodeFacts, objects: ObjectFacts, lists: ModuleLists) -> None:
        self._code = code
        self._objects = objects
        self._lists = lists

    def makers(self, call: Call) -> list[Call]:
        """Return the calls that make the module which a call runs."""
        function, place = call.node.func, call.place
        return self._lists.makers(function, place) or list(self._objects.makers(function, place))

    def of(self, layer: Call, mode: Mode, inputs: list[Kind]) -> Kind:
        """Return the dtype that a layer of torch gives; a sequence gives what its last layer does."""
        parts = self._lists.elements(layer.node, layer.place) if layer.name == "Sequential" else []
        if mode is Mode.HALF_MODEL or not parts or not all(map(is_torch_layer, parts)):
            return of_layer(layer, mode, inputs)
        for part in parts:
            inputs = [self.of(part, mode, inputs)]
        return inputs[0]

    def is_record(self, call: Call) -> bool:
        """Return whether a call makes an object of a class that has only fields: a named tuple, a data class."""
        cls = self._code.class_named(call.place.module, call.node.func)
        return cls is not None and not cls.methods and any(isinstance(each, ast.AnnAssign) for each in cls.node.body)
