"""Uses of names that torch no longer has, and the release of torch that a unit can run with."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.api_guards import guards_of
from vc2doctor.linter.analyse.api_target import requirement_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.knowledge.torch_names import GONE, NEWEST, GoneName
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Module

_NAMES = tuple(GONE)
_RELEASES_URL = "https://github.com/pytorch/pytorch/releases"


class TorchTarget(NamedTuple):
    """The releases of torch that a unit can run with."""

    newest: Version
    is_exact: bool
    """Whether it is the only one."""
    reason: str


def gone_torch_names(facts: Facts) -> Iterator[CodeFinding]:
    """Yield names that the release of torch lacks (VC117), one finding a name and unit."""
    found: dict[tuple[str, str], list[tuple[Module, ast.AST]]] = defaultdict(list)
    for module in facts.code.files.modules.values():
        if any(name.partition(".")[2] in module.source.text for name in _NAMES):
            for name, node in _uses(module):
                found[facts.code.requirements_folder_of(module.name), name].append((module, node))
    for (folder, name), places in found.items():
        torch, gone = torch_of(facts, folder), GONE[name]
        if torch is not None and torch.newest >= Version(gone.release):
            yield _gone(name, gone, places, torch)


def _uses(module: Module) -> Iterator[tuple[str, ast.AST]]:
    guards = guards_of(module)
    for place in module.statements:
        statement = place.statement
        if isinstance(statement, ast.Import | ast.ImportFrom) and not guards.is_guarded(statement):
            for name in _imported(statement):
                yield name, statement
    for call in module.calls:
        dotted = module.dotted(call.node.func)
        is_guarded = call.place.statement is not None and guards.is_guarded(call.place.statement)
        if dotted in GONE and not is_guarded:
            yield dotted, call.node


def _imported(statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
    names = [alias.name for alias in statement.names]
    if isinstance(statement, ast.ImportFrom):
        names = [statement.module or "", *(f"{statement.module}.{name}" for name in names)]
    yield from (name for name in names if name in GONE)


def torch_of(facts: Facts, folder: str) -> TorchTarget | None:
    """Return what a unit can run with; ``None``: its requirement cannot be read."""
    installed = facts.code.files.installed.get("torch")
    required = requirement_of(facts.code, folder, "torch")
    try:
        if installed is not None:
            return TorchTarget(Version(installed), is_exact=True, reason=f"torch {installed} is installed")
        if required is None:
            reason = f"no requirement says which torch, and {NEWEST} is allowed"
            return TorchTarget(Version(NEWEST), is_exact=False, reason=reason)
        return _required(required.specifier, required.location)
    except (InvalidVersion, InvalidSpecifier):
        return None


def _required(specifier: str | None, location: str) -> TorchTarget | None:
    if specifier is None:
        return None
    wanted = SpecifierSet(specifier)
    exact = [clause.version for clause in wanted if clause.operator in ("==", "===") and "*" not in clause.version]
    if exact:
        return TorchTarget(Version(exact[0]), is_exact=True, reason=f"{location} pins torch {exact[0]}")
    if wanted.contains(NEWEST):
        reason = f"{location} asks for torch{specifier}, which allows {NEWEST}"
        return TorchTarget(Version(NEWEST), is_exact=False, reason=reason)
    return None


def _gone(name: str, gone: GoneName, places: list[tuple[Module, ast.AST]], torch: TorchTarget) -> CodeFinding:
    (module, node), *others = places
    return build.at_node(
        module,
        node,
        "VC117",
        Severity.ERROR if torch.is_exact else Severity.WARNING,
        f"torch {torch.newest} does not have {name}: {gone.release} removed it",
        remedy=f"Use {gone.instead}, or install a torch older than {gone.release}.",
        evidence=(torch.reason,),
        url=_RELEASES_URL,
        also=tuple(build.place_of(other, at) for other, at in others),
    )
