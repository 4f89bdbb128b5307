"""The modules in lists of modules: ``self.layers[i](x)``, ``for block in self.blocks: x = block(x)``."""

import ast
from collections.abc import Iterator

from vc2doctor.linter.analyse.origins import ObjectFacts
from vc2doctor.linter.read.module import Call, Place, last_name
from vc2doctor.linter.read.syntax import walk

_LISTS = ("ModuleList", "Sequential")
_COPIES = ("deepcopy", "copy")
_PASSING = ("enumerate", "zip", "reversed", "list", "tuple")
"""Functions that give the elements of what they get."""
MAX_ELEMENTS = 64
"""Modules of one list. The limit bounds the time on generated code."""


class ModuleLists:
    """The lists of modules of one project."""

    def __init__(self, objects: ObjectFacts) -> None:
        self._objects = objects

    def makers(self, module: ast.expr, place: Place) -> list[Call]:
        """Return the calls that make the elements which an expression takes from a list; empty: it takes none."""
        match module:
            case ast.Subscript(value=container):
                return self.elements(container, place)
            case ast.Name(id=name) if name not in place.function.names:
                for container in _iterated(name, place):
                    return self.elements(container, place)
        return []

    def elements(self, container: ast.expr, place: Place) -> list[Call]:
        """Return the calls that make the elements of a list of modules, in the order of the code."""
        found: list[Call] = []
        for call in self._objects.of(container, place).calls():
            if call.name not in _LISTS:
                return []
            for argument in call.node.args:
                for element in self._listed(argument, call.place):
                    found.extend(self._made(element, call.place))
        return found[:MAX_ELEMENTS]

    def _made(self, element: ast.expr, place: Place) -> Iterator[Call]:
        """Yield what makes an element; a copy of a module is made by what has made the module."""
        if isinstance(element, ast.Call) and last_name(element.func) in _COPIES and element.args:
            yield from self._objects.makers(element.args[0], place)
        elif isinstance(element, ast.Call):
            yield from self._objects.makers(element, place)
        else:
            yield from self._objects.of(element, place).calls()

    def _listed(self, value: ast.expr, place: Place) -> Iterator[ast.expr]:
        """Yield the expressions that a list has: written out, in a comprehension, or appended to a local name."""
        match value:
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                for element in elements:
                    yield from self._listed(element, place) if isinstance(element, ast.Starred) else [element]
            case ast.ListComp(elt=element) | ast.GeneratorExp(elt=element):
                yield element
            case ast.Starred(value=inner):
                yield from self._listed(inner, place)
            case ast.Name(id=name):
                yield from self._of_name(name, place)
            case ast.Call():
                yield value

    def _of_name(self, name: str, place: Place) -> Iterator[ast.expr]:
        for assigned, at in place.function.names.get(name, []):
            if isinstance(assigned, ast.List | ast.ListComp | ast.Call):
                yield from self._listed(assigned, at)
        for call in place.module.calls_in(place.function):
            is_of_list = isinstance(call.receiver, ast.Name) and call.receiver.id == name
            if is_of_list and call.name == "append" and call.node.args:
                yield call.node.args[0]


def _iterated(name: str, place: Place) -> Iterator[ast.expr]:
    """Yield what a name runs over in a loop: ``self.blocks`` of ``for i, block in enumerate(self.blocks)``."""
    for node in walk(place.function.node):
        if not isinstance(node, ast.For):
            continue
        target, iterated, position = node.target, node.iter, 0
        if isinstance(target, ast.Tuple):
            names = [each.id if isinstance(each, ast.Name) else "" for each in target.elts]
            if name not in names:
                continue
            position = names.index(name)
        elif not isinstance(target, ast.Name) or target.id != name:
            continue
        if isinstance(iterated, ast.Call) and last_name(iterated.func) in _PASSING and iterated.args:
            is_zip = last_name(iterated.func) == "zip" and position < len(iterated.args)
            iterated = iterated.args[position if is_zip else 0]
        yield iterated
