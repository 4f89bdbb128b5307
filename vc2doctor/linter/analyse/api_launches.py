"""Flags of launch scripts that become keywords of a package's data class."""

import ast
from collections.abc import Iterator

from vc2doctor.linter.analyse.api_names import external_name, inherited, own_names
from vc2doctor.linter.analyse.api_objects import PARSERS
from vc2doctor.linter.analyse.api_use import Use
from vc2doctor.linter.analyse.api_values import OPTIMIZER_FIELD, OPTIMIZER_HINT, optimizer_existence
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.knowledge.api_table import ApiTable
from vc2doctor.linter.read.config import Launch
from vc2doctor.linter.read.module import Call, Class, Module

_FILE_OF_PARSER = "config"
"""The flag that trl's parser takes itself: https://huggingface.co/docs/trl/main/en/script_utils#trl.TrlParser"""


def launch_uses(code: CodeFacts, table: ApiTable) -> Iterator[Use]:
    """Yield the flags of launch scripts that become keywords of a package's data class."""
    for launch in code.files.launches:
        module = program_of(code, launch)
        if module is None:
            continue
        classes = list(parsed_classes(code, module))
        own = frozenset(name for _, names in classes for name in names)
        bases = list(dict.fromkeys(base for base, _ in classes if base))
        yield from _optimizer(launch, table, is_read=any(base.startswith("transformers.") for base in bases))
        for flag, entry in launch.flags.items():
            name = flag.lstrip("-")
            if name == _FILE_OF_PARSER and any(base.startswith("trl.") for base in bases):
                continue
            known = [(base, found) for base in bases if (found := table.keyword(base, name)) is not None]
            # A program may parse its flags into several classes, of which one inherits from the other.
            if len({found for _, found in known}) == 1 and name not in own:
                base, existence = known[0]
                if existence.bits != table.packages[existence.package].everything:
                    new = table.new_name(base, name)
                    label = f"{base.rpartition('.')[2]}({name}=)"
                    hint = f"--{new}" if new else ""
                    place = (launch.script, None, None, entry.line)
                    yield Use("argument", label, existence, *place, is_conditional=False, hint=hint)


def _optimizer(launch: Launch, table: ApiTable, *, is_read: bool) -> Iterator[Use]:
    """Yield the name of an optimizer that a command gives to transformers' arguments."""
    flag = launch.flags.get(f"--{OPTIMIZER_FIELD}") if is_read else None
    existence = optimizer_existence(table, flag.value) if flag is not None else None
    if flag is not None and existence is not None:
        label, hint = f"--{OPTIMIZER_FIELD} {flag.value}", f"--{OPTIMIZER_FIELD} {OPTIMIZER_HINT}"
        yield Use("argument", label, existence, launch.script, None, None, flag.line, is_conditional=False, hint=hint)


def program_of(code: CodeFacts, launch: Launch) -> Module | None:
    """Return the module that a launch starts, by the path that the script gives; ``None``: it is not certain."""
    parts = [part for part in launch.program.split("/") if part not in ("", ".")]
    while (parts and any(mark in parts[0] for mark in "$(){}~")) or parts[:1] == [".."]:
        parts.pop(0)
    path = "/".join(parts)
    folder = launch.script.rpartition("/")[0]
    while True:
        # The script is started in its own folder, or in one above it.
        beside = code.files.modules.get(f"{folder}/{path}" if folder else path)
        if beside is not None or not folder:
            break
        folder = folder.rpartition("/")[0]
    if beside is not None:
        return beside
    found = [module for name, module in code.files.modules.items() if path and f"/{name}".endswith(f"/{path}")]
    return found[0] if len(found) == 1 else None


def parsed_classes(code: CodeFacts, module: Module) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the data classes that a program's parser reads: the base in a package, and the project's fields."""
    # A program may only import the module that parses its arguments.
    for owner in code.import_closure(module):
        for call in owner.calls:
            if not _is_parser(code, owner, call) or not (call.node.args or call.node.keywords):
                continue
            argument = call.node.args[0] if call.node.args else call.node.keywords[0].value
            elements = argument.elts if isinstance(argument, ast.Tuple | ast.List) else [argument]
            for element in elements:
                yield from _parsed_class(code, owner, element)


def _is_parser(code: CodeFacts, module: Module, call: Call) -> bool:
    """Return whether a call makes a parser of data classes, also one of a class of the project."""
    if call.name in PARSERS:
        return True
    cls = code.resolve(module, module.dotted(call.node.func)) if call.name.endswith("Parser") else None
    return isinstance(cls, Class) and any(base.rpartition(".")[2] in PARSERS for base in code.base_names(cls))


def _parsed_class(code: CodeFacts, module: Module, element: ast.expr) -> Iterator[tuple[str, frozenset[str]]]:
    cls = code.resolve(module, module.dotted(element))
    if isinstance(cls, Class):
        known = inherited(code, cls)
        yield (known.base if known else ""), own_names(tuple(code.mro(cls)))
    else:
        yield external_name(code, module, module.dotted(element)) or "", frozenset()
