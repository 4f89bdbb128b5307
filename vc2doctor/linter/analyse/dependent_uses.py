"""The uses in one installed package of what the installed training packages lack."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from vc2doctor.linter.analyse.api_names import all_code, inherited, whole_code
from vc2doctor.linter.analyse.api_target import allowed_bits, described, nearest_releases
from vc2doctor.linter.analyse.api_use import Use
from vc2doctor.linter.analyse.api_uses import api_uses
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.knowledge.api_table import ApiTable, PackageTable, load_table
from vc2doctor.linter.read.module import Module, Place
from vc2doctor.linter.read.project import read_project


class FailingUse(NamedTuple):
    """One use of something that the installed release of ``package`` lacks."""

    package: str
    description: str
    """What is missing, as the end of a sentence: ``does not have transformers.trainer.X: 4.53.0 removed it``."""
    works_with: str
    """The releases of ``package`` with it that are nearest to the installed one, as a specifier."""
    file: str
    line: int
    imported_by: tuple[str, ...] = ()
    """The modules whose import fails, by their full names; empty: it fails later."""
    owner: str = ""
    """The class in whose method it fails; empty: it is in none."""


_METHODS_THAT_RUN = frozenset(
    {
        "__init__",
        "__post_init__",
        "_prepare_inputs",
        "_save",
        "compute_loss",
        "create_optimizer",
        "create_scheduler",
        "get_train_dataloader",
        "log",
        "save_model",
        "train",
        "training_step",
    }
)
"""Methods of trainers and of their arguments that each training runs."""


def uses_that_fail(folder: Path, installed: Mapping[str, str], declared: Mapping[str, str]) -> Iterator[FailingUse]:
    """Yield what the code in ``folder`` uses and the ``installed`` releases lack, if it certainly runs.

    ``declared`` are the specifiers that the package declares. A use that fails with every release that it allows is on
    a branch that hardly runs: its authors would have met it.
    """
    table = load_table()
    if table is None:
        return
    facts = Facts(CodeFacts(read_project((folder,), (), {}, installed)))
    failing = [use for use in api_uses(facts) if _fails(all_code(facts), use, table, installed, declared)]
    # To follow the imports, all modules are parsed: only where it matters.
    imports = _Imports(whole_code(facts), folder.name) if any(use.kind == "name" for use in failing) else None
    together: dict[str, int] = {}
    for use in failing:
        # The remedy of one use must not leave another.
        name = use.existence.package
        both = together.get(name, use.existence.bits) & use.existence.bits
        together[name] = both or together[name]
    for use in failing:
        package = table.packages[use.existence.package]
        position = package.position(installed[package.name]) or 0
        yield FailingUse(
            package.name,
            _description(use, position, package),
            nearest_releases(together[package.name], position, package),
            use.file,
            use.line,
            imported_by=imports.importers_of(use.file) if imports is not None and use.kind == "name" else (),
            owner=_owner(use),
        )


def _fails(
    code: CodeFacts, use: Use, table: ApiTable, installed: Mapping[str, str], declared: Mapping[str, str]
) -> bool:
    package = table.packages[use.existence.package]
    position = package.position(installed[package.name]) if package.name in installed else None
    if position is None or use.existence.bits >> position & 1 or not _certainly_runs(code, use):
        return False
    allowed = allowed_bits(package, declared.get(package.name, ""))
    return allowed is None or bool(allowed & use.existence.bits)


class _Imports:
    """Which modules of a package import which others at their top."""

    def __init__(self, code: CodeFacts, package: str) -> None:
        self._package = package
        self._importers: dict[Module, set[Module]] = defaultdict(set)
        for module in code.files.modules.values():
            for node in module.source.tree.body:
                for name in _imported_names(module, node):
                    other = code.module_named(module, name.removeprefix(f"{package}.")) if name != package else None
                    if other is not None:
                        self._importers[other].add(module)
        self._modules = code.files.modules

    def importers_of(self, file: str) -> tuple[str, ...]:
        """Return the modules whose import reads a file of the package, by their full names."""
        if file not in self._modules:
            return ()
        seen, waiting = {self._modules[file]}, [self._modules[file]]
        while waiting:
            new = self._importers[waiting.pop()] - seen
            seen |= new
            waiting.extend(new)
        return tuple(sorted(self._full_name(module.name) for module in seen))

    def _full_name(self, file: str) -> str:
        parts = file.removesuffix(".py").removesuffix("__init__").rstrip("/").replace("/", ".")
        return f"{self._package}.{parts}" if parts else self._package


def _imported_names(module: Module, node: ast.stmt) -> Iterator[str]:
    """Yield the modules that a statement at the top of a module may import, as the reader names them."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            dotted = module.imports.get(alias.asname or alias.name, "")
            prefix, _, _ = dotted.rpartition(".")
            yield dotted
            if prefix.strip("."):
                yield prefix


def _certainly_runs(code: CodeFacts, use: Use) -> bool:
    if use.is_conditional or use.module is None or use.only_with:
        return False
    if use.kind == "override":
        # A checkpoint is loaded only by a run that goes on from one.
        return "checkpoint" not in use.problems[0][1]
    if use.kind == "name":
        return use.node in use.module.source.tree.body and isinstance(use.node, ast.stmt)
    place = _place_of(use)
    return place is not None and not place.conditions and _runs_in_training(code, place)


def _runs_in_training(code: CodeFacts, place: Place) -> bool:
    """Return whether a place is in a method that each training runs, of a trainer or of its arguments."""
    cls, names = place.function.cls, {scope.name for scope in place.function.scopes()}
    known = inherited(code, cls) if cls is not None else None
    return (
        known is not None and known.base.endswith(("Trainer", "TrainingArguments")) and bool(names & _METHODS_THAT_RUN)
    )


def _place_of(use: Use) -> Place | None:
    """Return the innermost place of what a use is in."""
    places = use.module.statements if use.module is not None and use.node is not None else []
    around = [place for place in places if place.statement is not None and use.node in set(ast.walk(place.statement))]
    return around[-1] if around else None


def _owner(use: Use) -> str:
    """Return the class in whose method a use is; empty: it is in none."""
    if use.kind == "override":
        return use.label.partition(".")[0]
    place = _place_of(use)
    return place.function.cls.name if place is not None and place.function.cls is not None else ""


def _description(use: Use, position: int, package: PackageTable) -> str:
    if use.kind == "override":
        return f"{use.problem(position)}, which {use.label} does not take"
    if use.kind == "call":
        return f"refuses a call of {use.label}: it {use.problem(position)}"
    if use.kind == "argument":
        return f"does not take {use.label}: {described(use.existence.bits, position, package)}"
    return f"does not have {use.label}: {described(use.existence.bits, position, package)}"
