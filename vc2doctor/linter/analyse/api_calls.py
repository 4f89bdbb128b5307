"""What calls give to the classes, functions and methods of the training packages."""

import ast
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import and_, or_

from vc2doctor.linter.analyse.api_keywords import Keyword, keywords_of
from vc2doctor.linter.analyse.api_names import external_name, initializer, own_names, passes_keywords_on
from vc2doctor.linter.analyse.api_objects import class_names, class_of
from vc2doctor.linter.analyse.api_use import ModuleContext, Use
from vc2doctor.linter.knowledge.api_shapes import (
    Given,
    Releases,
    function_shapes,
    method_shapes,
    misplaced,
    problem,
)
from vc2doctor.linter.knowledge.api_table import Existence
from vc2doctor.linter.knowledge.loader_keywords import existence_of, instead_of, is_loader
from vc2doctor.linter.read.module import Call, Class


class CallUses:
    """The uses that the calls of one module make."""

    def __init__(self, context: ModuleContext) -> None:
        self._context = context
        self._code, self._module, self._table = context.code, context.module, context.table
        self._methods = frozenset().union(*(package.method_names for package in self._table.packages.values()))

    def uses(self) -> Iterator[Use]:
        """Yield the arguments that some release does not take, and the calls that some release refuses."""
        for call in self._module.calls:
            if not self._context.is_guarded(call.place.statement):
                keywords, is_complete = keywords_of(call)
                yield from self._arguments(call, keywords)
                yield from self._of_loader(call, keywords)
                yield from self._shapes(call, keywords, is_complete=is_complete)

    def _of_loader(self, call: Call, keywords: Sequence[Keyword]) -> Iterator[Use]:
        """Yield the keywords of ``from_pretrained`` that only some releases take; their signature has ``**kwargs``."""
        if call.name != "from_pretrained" or not isinstance(call.node.func, ast.Attribute):
            return
        names = class_names(self._code, call.node.func.value, call.place)
        if not names or not all(map(is_loader, names)):
            return
        for keyword in keywords:
            existence = existence_of(self._table, keyword.name)
            if existence is not None:
                hint = instead_of(keyword.name, keyword.value)
                label = f"from_pretrained({keyword.name}=)"
                node = keyword.node.value if isinstance(keyword.node, ast.keyword) else keyword.node
                yield from self._context.use(
                    "argument",
                    label,
                    existence,
                    node,
                    hint,
                    is_conditional=keyword.is_conditional,
                )

    def _arguments(self, call: Call, keywords: Sequence[Keyword]) -> Iterator[Use]:
        bases, own = self._callees(call)
        for keyword in keywords if bases else ():
            if keyword.name not in own:
                yield from self._argument(bases, keyword)

    def _argument(self, bases: Sequence[str], keyword: Keyword) -> Iterator[Use]:
        """Yield the use of a keyword. If the callee is one of several, a release that one of them takes counts."""
        found = [each for base in bases if (each := self._table.keyword(base, keyword.name)) is not None]
        # A class of trl takes what it inherits by the release of transformers, not by its own.
        packages = {each.package for each in found}
        if len(found) < len(bases) or len(packages) > 1:
            return
        bits = reduce(or_, (each.bits for each in found))
        new_name = self._table.new_name(bases[0], keyword.name)
        hint = f"{new_name}=" if new_name else self._table.in_configuration(bases[0], keyword.name)
        label = f"{bases[0].rpartition('.')[2]}({keyword.name}=)"
        existence = Existence(packages.pop(), bits, reduce(and_, (each.absent for each in found)))
        yield from self._context.use(
            "argument", label, existence, keyword.node, hint, is_conditional=keyword.is_conditional
        )

    def _callees(self, call: Call) -> tuple[tuple[str, ...], frozenset[str]]:
        """Return what may take the keywords of a call, as full names, and the keywords that the project takes."""
        function = call.node.func
        if call.name == "__init__" and isinstance(function, ast.Attribute):
            return self._of_initializer(call, function.value), frozenset()
        dotted = self._module.dotted(function)
        definition = self._code.resolve(self._module, dotted) if dotted else None
        if isinstance(definition, Class):
            return self._of_class(definition)
        return class_names(self._code, function, call.place), frozenset()

    def _of_initializer(self, call: Call, owner: ast.expr) -> tuple[str, ...]:
        """Return the base class that ``super().__init__(...)`` or ``Base.__init__(self, ...)`` initializes."""
        cls = call.place.function.cls
        if cls is None or call.place.function.name != "__init__":
            return ()
        if isinstance(owner, ast.Call):
            known = self._context.base_of(cls)
            return (known.base,) if known is not None and len(known.classes) == 1 else ()
        name = external_name(self._code, self._module, self._module.dotted(owner))
        return (name,) if name and name in self._base_names(cls) else ()

    def _base_names(self, cls: Class) -> frozenset[str]:
        names = (external_name(self._code, self._module, self._module.dotted(base)) for base in cls.node.bases)
        return frozenset(name for name in names if name)

    def _of_class(self, cls: Class) -> tuple[tuple[str, ...], frozenset[str]]:
        known = self._context.base_of(cls)
        if known is None:
            return (), frozenset()
        init = initializer(known.classes)
        if init is not None and not passes_keywords_on(init):
            return (), frozenset()
        own = frozenset(init.parameters()) if init is not None else own_names(known.classes)
        return (known.base,), own

    def _shapes(self, call: Call, keywords: Sequence[Keyword], *, is_complete: bool) -> Iterator[Use]:
        """Yield a call that some release refuses: for arguments by position, by keyword, or that are missing."""
        if call.name in ("from_pretrained", "from_config"):
            return
        target = self._target(call)
        if target is None:
            return
        name, releases, is_function = target
        package = self._table.packages.get(name.partition(".")[0])
        if package is None or not releases:
            return
        # `Base.__init__(self, ...)` gives the object that a shape leaves out; `check(self)` gives an argument.
        gives_self = call.name == "__init__" or not is_function
        first = 1 if gives_self and call.node.args and _is_self(call.node.args[0]) else 0
        arguments = call.node.args[first:]
        if any(isinstance(argument, ast.Starred) for argument in arguments):
            return
        given = Given(
            positional=tuple(argument.id if isinstance(argument, ast.Name) else "" for argument in arguments),
            # The table of keywords judges those of classes and functions.
            keywords=frozenset(keyword.name for keyword in keywords if not keyword.is_conditional),
            is_complete=is_complete,
        )
        problems = tuple(_problems(releases, given, is_function=is_function))
        bad = sum(bits for bits, _ in problems)
        if bad:
            label = f"{name.partition('.')[2].rpartition('.')[2] if is_function else name.split('.', 1)[1]}(...)"
            existence = Existence(package.name, package.everything & ~bad)
            for use in self._context.use("call", label, existence, call.node):
                yield use._replace(problems=problems)

    def _target(self, call: Call) -> tuple[str, Releases, bool] | None:
        """Return the name of the callee, its parameters by release, and whether it is a class or a function."""
        function = call.node.func
        bases, own = self._callees(call)
        if len(bases) == 1 and not own:
            package = self._table.packages.get(bases[0].partition(".")[0])
            found = function_shapes(package, bases[0]) if package else ()
            return (bases[0], found, True) if found else None
        if not isinstance(function, ast.Attribute) or function.attr not in self._methods:
            return None
        base = self._receiver(call, function)
        package = self._table.packages.get(base.partition(".")[0])
        found = method_shapes(package, base, function.attr) if package else ()
        return (
            (f"{package.name}.{base.rpartition('.')[2]}.{function.attr}", found, False) if package and found else None
        )

    def _receiver(self, call: Call, function: ast.Attribute) -> str:
        """Return the class of a package whose method is called; empty: unknown, or the project defines the method."""
        cls, owner = call.place.function.cls, function.value
        is_super = isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "super"
        if is_super or _is_self(owner):
            known = self._context.base_of(cls) if cls is not None else None
            if known is None or (is_super and len(known.classes) > 1):
                return ""
            return "" if not is_super and function.attr in own_names(known.classes) else known.base
        found = class_of(self._code, owner, call.place)
        return found.bases[0] if found and len(found.bases) == 1 and function.attr not in found.own else ""


def _is_self(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Name) and expression.id == "self"


def _problems(releases: Releases, given: Given, *, is_function: bool) -> Iterator[tuple[int, str]]:
    """Yield the releases that refuse a call, with the reason; those that exchange arguments only if another does not.

    Keywords of classes and functions that a release does not take are another finding.
    """
    misplacing = [(bits, misplaced(shape, given) if shape else "") for bits, shape in releases]
    is_telling = not all(text for _, text in misplacing)
    for (bits, shape), (_, swap) in zip(releases, misplacing, strict=True):
        reason = problem(shape, _without_unknown(given, shape.keywords) if is_function else given) if shape else ""
        if reason or (swap and is_telling):
            yield bits, reason or swap


def _without_unknown(given: Given, known: frozenset[str]) -> Given:
    """Return a call without the keywords that are not known; it may then lack one that has another name here."""
    unknown = given.keywords - known
    return given._replace(keywords=given.keywords & known, is_complete=given.is_complete and not unknown)
