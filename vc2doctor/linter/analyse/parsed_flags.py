"""The flags that a program's parser takes, as far as all of them are known."""

import ast
import re
from collections.abc import Iterator

from vc2doctor.linter.analyse.api_names import NEUTRAL_BASES, external_name, inherited, own_names
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.knowledge.api_table import ApiTable
from vc2doctor.linter.read.module import Call, Class, Module
from vc2doctor.matrix.api_file import INHERITS, OPEN

_OF_DATACLASSES = ("transformers.HfArgumentParser", "trl.TrlParser")
_PARSES = frozenset({"parse_args_into_dataclasses", "parse_args_and_config"})
_ALLOWS_OTHERS = frozenset({"parse_known_args", "parse_known_intermixed_args", "add_subparsers"})
_OF_PARSER = frozenset({"help", "h", "config"})
_CHANGES_COMMAND = re.compile(r"sys\.argv\s*(=[^=]|\+=|\.(remove|pop|insert|append|extend)\b|\[[^\]]*\]\s*=[^=])")
_IS_PARSER_NAME = re.compile(r"parser|group", re.IGNORECASE)


class KnownFlags:
    """The flags of one program, with underscores and without the leading dashes."""

    def __init__(self, own: frozenset[str], bases: tuple[str, ...], table: ApiTable | None, name: str) -> None:
        self.name = name
        """The parser: ``HfArgumentParser``, ``argparse``."""
        self._own = own
        self._bases = bases
        self._table = table

    def takes(self, flag: str) -> bool:
        """Return whether the parser takes a flag, also one that is the beginning of another, or that negates one.

        Fields that only some releases of a package have count as taken: that is another finding.
        """
        without = flag.removeprefix("no_")
        if flag in _OF_PARSER or any(own.startswith((flag, without)) for own in self._own):
            return True
        table = self._table
        return table is not None and any(
            name.startswith((flag, without)) for base in self._bases for name in _names(table, base)
        )


def known_flags(code: CodeFacts, module: Module, table: ApiTable) -> KnownFlags | None:
    """Return the flags of a program; ``None``: it has no parser, has several, or not all flags are known."""
    closure = list(code.import_closure(module))
    of_dataclasses = [
        (owner, call)
        for owner in closure
        for call in owner.calls
        if external_name(code, owner, owner.dotted(call.node.func)) in _OF_DATACLASSES
    ]
    if len(of_dataclasses) == 1:
        return _of_dataclasses(code, *of_dataclasses[0], table)
    return None if of_dataclasses else _of_argparse(module)


def _of_dataclasses(code: CodeFacts, owner: Module, call: Call, table: ApiTable) -> KnownFlags | None:
    parses = [each for each in owner.calls if each.name in _PARSES]
    is_strict = bool(parses) and not any(each.node.args or each.node.keywords for each in parses)
    argument = call.node.args[0] if call.node.args else None
    if not is_strict or argument is None or call.node.keywords or not _is_closed(owner):
        return None
    elements = argument.elts if isinstance(argument, ast.Tuple | ast.List) else [argument]
    own: set[str] = set(_added(owner) or ())
    bases: list[str] = []
    for element in elements:
        fields = _fields(code, owner, element, table)
        if fields is None or _added(owner) is None:
            return None
        own |= fields[0]
        bases.extend(fields[1])
    return KnownFlags(frozenset(own), tuple(bases), table, call.name)


def _fields(
    code: CodeFacts, owner: Module, element: ast.expr, table: ApiTable
) -> tuple[frozenset[str], tuple[str, ...]] | None:
    """Return the fields of a data class, and the classes of packages with further ones; ``None``: not all are known."""
    cls = code.resolve(owner, owner.dotted(element))
    if not isinstance(cls, Class):
        base = external_name(code, owner, owner.dotted(element)) or ""
        return (frozenset(), (base,)) if _is_known(table, base) else None
    classes = tuple(code.mro(cls))
    known = inherited(code, cls)
    if known is not None:
        return (own_names(classes), (known.base,)) if _is_known(table, known.base) else None
    is_whole = all(
        code.class_named(each.module, base) in classes or each.module.dotted(base) in NEUTRAL_BASES
        for each in classes
        for base in each.node.bases
    )
    return (own_names(classes), ()) if is_whole else None


def _is_known(table: ApiTable, base: str) -> bool:
    """Return whether the table has all fields of a class of a package."""
    package = table.packages.get(base.partition(".")[0])
    key = package.callable_key(base) if package else None
    entries = package.entries("callables", key) if package and key else None
    if entries is None or OPEN in entries:
        return False
    return all(_is_known(table, name[len(INHERITS) :]) for name in entries if name.startswith(INHERITS))


def _names(table: ApiTable, base: str) -> Iterator[str]:
    """Yield the keywords that a class of a package takes in any release."""
    package = table.packages.get(base.partition(".")[0])
    key = package.callable_key(base) if package else None
    for name in (package.entries("callables", key) or ()) if package and key else ():
        if name.startswith(INHERITS):
            yield from _names(table, name[len(INHERITS) :])
        elif name:
            yield name


def _of_argparse(module: Module) -> KnownFlags | None:
    parsers = [call for call in module.calls if call.name.endswith("Parser")]
    if len(parsers) != 1 or module.dotted(parsers[0].node.func) != "argparse.ArgumentParser":
        return None
    keywords = {keyword.arg for keyword in parsers[0].node.keywords}
    parses = [call for call in module.calls if call.name == "parse_args"]
    is_strict = len(parses) == 1 and not parses[0].node.args and not parses[0].node.keywords
    added = _added(module)
    if (
        not is_strict
        or keywords & {"parents", "fromfile_prefix_chars", None}
        or added is None
        or not _is_closed(module)
    ):
        return None
    return KnownFlags(added, (), None, "argparse")


def _added(module: Module) -> frozenset[str] | None:
    """Return the flags that a module adds one by one; ``None``: one of them is not written out."""
    found: set[str] = set()
    for call in module.calls:
        if call.name == "add_argument":
            texts = [node.value for node in call.node.args if isinstance(node, ast.Constant)]
            if len(texts) < max(len(call.node.args), 1):
                return None
            found.update(str(text).lstrip("-").replace("-", "_") for text in texts)
    return frozenset(found)


def _is_closed(module: Module) -> bool:
    """Return whether nothing else gets the parser or the command, and no flag that is unknown is allowed."""
    if _CHANGES_COMMAND.search(module.source.text) or any(call.name in _ALLOWS_OTHERS for call in module.calls):
        return False
    return not any(_IS_PARSER_NAME.search(name) for call in module.calls for name in _argument_names(call))


def _argument_names(call: Call) -> Iterator[str]:
    for value in (*call.node.args, *(keyword.value for keyword in call.node.keywords)):
        if isinstance(value, ast.Name):
            yield value.id
        elif isinstance(value, ast.Attribute):
            yield value.attr
