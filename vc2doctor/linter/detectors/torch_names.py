"""Uses of names that torch no longer has, and loads of checkpoints whose default changed."""

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
from vc2doctor.linter.knowledge.torch_names import GONE, NEWEST, SAFE_LOAD, GoneName
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Module

_NAMES = tuple(GONE)
_RELEASES_URL = "https://github.com/pytorch/pytorch/releases"
_LOAD_URL = "https://docs.pytorch.org/docs/stable/generated/torch.load.html"


class _Torch(NamedTuple):
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
                found[facts.code.folder_of(module.name), name].append((module, node))
    for (folder, name), places in found.items():
        torch, gone = _torch_of(facts, folder), GONE[name]
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


def _torch_of(facts: Facts, folder: str) -> _Torch | None:
    """Return what a unit can run with; ``None``: its requirement cannot be read."""
    installed = facts.code.files.installed.get("torch")
    required = requirement_of(facts.code, folder, "torch")
    try:
        if installed is not None:
            return _Torch(Version(installed), is_exact=True, reason=f"torch {installed} is installed")
        if required is None:
            reason = f"no requirement says which torch, and {NEWEST} is allowed"
            return _Torch(Version(NEWEST), is_exact=False, reason=reason)
        return _required(required.specifier, required.location)
    except (InvalidVersion, InvalidSpecifier):
        return None


def _required(specifier: str | None, location: str) -> _Torch | None:
    if specifier is None:
        return None
    wanted = SpecifierSet(specifier)
    exact = [clause.version for clause in wanted if clause.operator in ("==", "===") and "*" not in clause.version]
    if exact:
        return _Torch(Version(exact[0]), is_exact=True, reason=f"{location} pins torch {exact[0]}")
    if wanted.contains(NEWEST):
        reason = f"{location} asks for torch{specifier}, which allows {NEWEST}"
        return _Torch(Version(NEWEST), is_exact=False, reason=reason)
    return None


def _gone(name: str, gone: GoneName, places: list[tuple[Module, ast.AST]], torch: _Torch) -> CodeFinding:
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


def checkpoint_loads(facts: Facts) -> Iterator[CodeFinding]:
    """Yield loads of checkpoints that refuse pickled objects since torch 2.6 (VC119), one finding a unit."""
    loads: dict[str, list[Call]] = defaultdict(list)
    for module in facts.code.files.modules.values():
        if "torch.load" in module.source.text and facts.stages.module_trains(module):
            for call in module.calls:
                if call.name == "load" and module.dotted(call.node.func) == "torch.load" and _uses_default(call):
                    loads[facts.code.folder_of(module.name)].append(call)
    for folder, calls in loads.items():
        torch = _torch_of(facts, folder)
        if torch is not None and torch.newest >= Version(SAFE_LOAD):
            yield _load(calls, torch)


def _uses_default(call: Call) -> bool:
    return not any(keyword.arg in (None, "weights_only") for keyword in call.node.keywords)


def _load(calls: list[Call], torch: _Torch) -> CodeFinding:
    first, *others = calls
    return build.at_node(
        first.place.module,
        first.node,
        "VC119",
        Severity.NOTE,
        "torch.load refuses checkpoints with other objects than tensors since torch 2.6, unless weights_only=False",
        remedy="Pass weights_only=True for plain weights, or weights_only=False for a file of your own that you trust.",
        evidence=(torch.reason,),
        url=_LOAD_URL,
        also=tuple(build.place_of(call.place.module, call.node) for call in others),
    )
