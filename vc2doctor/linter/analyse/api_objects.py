"""Of which class of the training packages an object is: a trainer, arguments, a model, a tokenizer."""

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vc2doctor.linter.analyse.api_names import Inherited, external_name, inherited, is_rebound, own_names
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.module import Assigned, Class, Function, Module, Place, root_name

MAX_HOPS = 5
"""Assignments, functions and attributes that are followed for one object."""
PARSERS = frozenset({"HfArgumentParser", "TrlParser", "H4ArgumentParser"})
"""Classes that make the fields of data classes into flags of a command."""
_PARSES = frozenset({"parse_args_into_dataclasses", "parse_args_and_config", "parse_json_file", "parse_yaml_file"})
"""Methods of parsers that return one object for each data class, in order."""
_ANY = frozenset({"Any", "typing.Any", "object"})
_LOADERS = frozenset({"from_pretrained", "from_config"})
_FUNCTIONS = {"peft.get_peft_model": "peft.PeftModel"}
"""Functions that return an object of a class."""
_FAMILIES = {
    "transformers.AutoTokenizer": (
        "transformers.PreTrainedTokenizerBase",
        "transformers.PreTrainedTokenizer",
        "transformers.PreTrainedTokenizerFast",
    ),
}
"""Classes whose ``from_pretrained`` returns an object of one of several classes."""
_ATTRIBUTES = {"args": "transformers.TrainingArguments", "accelerator": "accelerate.Accelerator"}
"""Attributes of every trainer of transformers, with the class of the object."""


class ObjectClass(NamedTuple):
    """What an object is."""

    bases: tuple[str, ...]
    """Full names of classes of the packages: it is of one of them, or of a class of the project that inherits from
    it."""
    own: frozenset[str] = frozenset()
    """What the classes of the project add."""


def class_of(code: CodeFacts, expression: ast.expr, place: Place, hops: int = 0) -> ObjectClass | None:
    """Return what an expression at a place is an object of; ``None``: unknown, or several kinds of objects."""
    if hops > MAX_HOPS:
        return None
    match expression:
        case ast.IfExp():
            found = _only(class_of(code, each, place, hops + 1) for each in (expression.body, expression.orelse))
        case ast.Call():
            found = _of_call(code, expression, place, hops)
        case ast.Name():
            found = _of_name(code, expression.id, place, hops)
        case ast.Subscript(slice=ast.Constant(value=int(position))):
            found = _parsed(code, expression.value, position, place)
        case ast.Attribute(value=ast.Name()):
            found = _of_attribute(code, expression, place, hops)
        case _:
            found = None
    return found


def _only(found: Iterable[ObjectClass | None]) -> ObjectClass | None:
    """Return the only class among those that were found; ``None``: there are several, or an unknown one."""
    classes = set(found)
    return classes.pop() if len(classes) == 1 else None


def _of_values(code: CodeFacts, values: Iterable[Assigned], hops: int) -> ObjectClass | None:
    return _only(class_of(code, value, place, hops + 1) for value, place in values)


def _of_name(code: CodeFacts, name: str, place: Place, hops: int) -> ObjectClass | None:
    for scope in place.function.scopes():
        unpacked, values = scope.unpacked.get(name, []), scope.names.get(name, [])
        if name in scope.parameters() and not values and not unpacked:
            return _of_parameter(code, scope, name, hops)
        if unpacked and not values:
            return _only(_parsed(code, value, position, at) for value, position, at in unpacked)
        if values and not unpacked and name not in scope.parameters():
            return _of_values(code, values, hops)
        if values or unpacked or name in scope.parameters():
            return None
    return None


def _of_parameter(code: CodeFacts, function: Function, name: str, hops: int) -> ObjectClass | None:
    """Return what a parameter is: what its annotation says, else what all known calls give."""
    annotation = _annotation(function, name)
    if annotation is not None and ast.unparse(annotation) not in _ANY:
        return _of_class(code, function.module, annotation)
    if function.cls is not None:
        return None
    given = [(call.argument(name, function.position(name)), call.place) for call in code.callers(function)]
    return _of_values(code, [(value, place) for value, place in given if value is not None], hops)


def _annotation(function: Function, name: str) -> ast.expr | None:
    """Return the annotation of a parameter, without ``Optional``."""
    if isinstance(function.node, ast.Module):
        return None
    arguments = function.node.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg == name and argument.annotation is not None:
            annotation = argument.annotation
            is_optional = isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).endswith("Optional")
            return annotation.slice if is_optional and isinstance(annotation, ast.Subscript) else annotation
    return None


def _of_class(code: CodeFacts, module: Module, expression: ast.expr) -> ObjectClass | None:
    """Return the objects of a class that an expression names."""
    dotted = module.dotted(expression)
    cls = code.resolve(module, dotted) if dotted else None
    if isinstance(cls, Class):
        return _of_inherited(inherited(code, cls))
    name = external_name(code, module, dotted) if dotted else None
    # A name with a small letter is a function.
    return ObjectClass((name,)) if name and name.rpartition(".")[2][:1].isupper() else None


def _of_inherited(known: Inherited | None) -> ObjectClass | None:
    return ObjectClass((known.base,), own_names(known.classes)) if known else None


def _of_attribute(code: CodeFacts, expression: ast.Attribute, place: Place, hops: int) -> ObjectClass | None:
    cls = place.function.cls
    if cls is None or not isinstance(expression.value, ast.Name) or expression.value.id != "self":
        return None
    values = [value for owner in code.mro(cls) for value in owner.attributes.get(expression.attr, [])]
    if values:
        return _of_values(code, values, hops)
    known = inherited(code, cls)
    is_trainer = known is not None and known.base.startswith("transformers.") and known.base.endswith("Trainer")
    base = _ATTRIBUTES.get(expression.attr) if is_trainer else None
    return ObjectClass((base,)) if base else None


def _of_call(code: CodeFacts, call: ast.Call, place: Place, hops: int) -> ObjectClass | None:
    module, function = place.module, call.func
    dotted = module.dotted(function)
    if isinstance(function, ast.Attribute) and function.attr in _LOADERS:
        return _loaded(code, module, function.value)
    if not dotted:
        return None
    definition = code.resolve(module, dotted)
    if isinstance(definition, Function):
        return _of_values(code, definition.returned, hops) if definition.returned else None
    name = external_name(code, module, dotted)
    if name in _FUNCTIONS:
        return ObjectClass((_FUNCTIONS[name],))
    return _of_class(code, module, function) if _is_class(module, function) else None


def _is_class(module: Module, function: ast.expr) -> bool:
    """Return whether a name is not also assigned in the module."""
    return not (isinstance(function, ast.Name) and function.id in module.imports and is_rebound(module, function.id))


def _loaded(code: CodeFacts, module: Module, owner: ast.expr) -> ObjectClass | None:
    """Return what ``from_pretrained`` of a class returns; an automatic class of models may return code of others."""
    known = _of_class(code, module, owner)
    if known is None or not known.bases[0].rpartition(".")[2].startswith("Auto"):
        return known
    family = _FAMILIES.get(known.bases[0])
    return ObjectClass(family) if family else None


def _parsed(code: CodeFacts, value: ast.expr, position: int, place: Place) -> ObjectClass | None:
    """Return what a parser returns at a position: ``HfArgumentParser((A, B)).parse_args_into_dataclasses()``."""
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute) or value.func.attr not in _PARSES:
        return None
    made = _made(value.func.value, place)
    if made is None or not (made[0].args or made[0].keywords):
        return None
    call, module = made
    argument = call.args[0] if call.args else call.keywords[0].value
    elements = argument.elts if isinstance(argument, ast.Tuple | ast.List) else [argument]
    return _of_class(code, module, elements[position]) if position < len(elements) else None


def _made(parser: ast.expr, place: Place) -> tuple[ast.Call, Module] | None:
    """Return the call that makes a parser."""
    values: Iterator[ast.expr] = iter([parser])
    if isinstance(parser, ast.Name):
        values = (value for scope in place.function.scopes() for value, _ in scope.names.get(parser.id, []))
    calls = [value for value in values if isinstance(value, ast.Call)]
    if len(calls) != 1 or place.module.dotted(calls[0].func).rpartition(".")[2] not in PARSERS:
        return None
    return calls[0], place.module


def class_names(code: CodeFacts, expression: ast.expr, place: Place) -> tuple[str, ...]:
    """Return the full names of the classes or functions of the packages that a callee may be; empty: unknown.

    A variable may hold one of several: ``trainer_class = Trainer if decoder else Seq2SeqTrainer``.
    """
    names: set[str] = set()
    for value in _alternatives(expression, place):
        dotted, local = place.module.dotted(value), root_name(value)
        is_own = not dotted or is_rebound(place.module, local) or _is_assigned(local, place)
        is_imported = local in place.module.imports and not is_own
        name = external_name(code, place.module, dotted) if is_imported else None
        if name is None:
            return ()
        names.add(name)
    return tuple(sorted(names))


def _is_assigned(name: str, place: Place) -> bool:
    return any(name in scope.names or name in scope.unpacked for scope in place.function.scopes())


def _alternatives(expression: ast.expr, place: Place) -> list[ast.expr]:
    """Return what a callee may be: itself, or all values of a variable."""
    if isinstance(expression, ast.IfExp):
        return [*_alternatives(expression.body, place), *_alternatives(expression.orelse, place)]
    if not isinstance(expression, ast.Name) or expression.id in place.module.imports:
        return [expression]
    for scope in place.function.scopes():
        if values := scope.names.get(expression.id):
            return [
                each
                for value, _ in values
                for each in ([value.body, value.orelse] if isinstance(value, ast.IfExp) else [value])
            ]
    return [expression]
