"""Arguments of Lightning's trainer that the release in use refuses."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.api_guards import guards_of
from vc2doctor.linter.analyse.api_target import requirement_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.trainer_calls import is_of_lightning
from vc2doctor.linter.detectors.torch_names import torch_of
from vc2doctor.linter.knowledge.lightning_releases import OLDEST_TORCH, REFUSED, REFUSED_SINCE
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Module, root_name

_PACKAGES = ("pytorch-lightning", "lightning")
_OLD, _NEW = ("1.5.10", "1.9.5"), ("2.0.0", "2.1.4", "2.2.5", "2.3.3", "2.4.0", "2.5.6", "2.6.0")
"""Releases that stand for those that take the arguments, and for those that refuse them."""
_URL = "https://lightning.ai/docs/pytorch/stable/upgrade/migration_guide.html"


class _Target(NamedTuple):
    severity: Severity
    """An error: no release that may be installed takes the arguments. A note: nothing says which is used."""
    reason: str


def refused_lightning_arguments(facts: Facts) -> Iterator[CodeFinding]:
    """Yield arguments of Lightning's ``Trainer`` that 2.0 took away (VC118), one finding each."""
    found: dict[tuple[str, str, str], list[Call]] = defaultdict(list)
    for module in facts.code.files.modules.values():
        for call in module.calls if "Trainer" in module.source.text else ():
            if call.name == "Trainer" and is_of_lightning(call) and not _is_guarded(module, call):
                package = _package_of(module, call)
                folder = facts.code.requirements_folder_of(module.name)
                for keyword in call.node.keywords:
                    if keyword.arg in REFUSED:
                        found[folder, package, str(keyword.arg)].append(call)
    for (folder, package, name), calls in found.items():
        target = _target(facts, folder, package)
        if target is not None:
            yield _finding(calls, package, name, target)


def _is_guarded(module: Module, call: Call) -> bool:
    return call.place.statement is not None and guards_of(module).is_guarded(call.place.statement)


def _package_of(module: Module, call: Call) -> str:
    is_short = module.imports.get(root_name(call.node.func), "").partition(".")[0] == "lightning"
    return "lightning" if is_short else "pytorch-lightning"


def _target(facts: Facts, folder: str, package: str) -> _Target | None:
    """Return why a release is in use that refuses the arguments; ``None``: none is, or it is not known."""
    torch = torch_of(facts, folder)
    if torch is not None and torch.newest < Version(OLDEST_TORCH):
        return None
    asked = (requirement_of(facts.code, folder, name) for name in (package, *_PACKAGES))
    required = next((each for each in asked if each is not None), None)
    if required is None:
        return _Target(Severity.NOTE, f"no requirement says which {package}, and the newest is 2 or newer")
    try:
        wanted = SpecifierSet(required.specifier) if required.specifier is not None else None
    except InvalidSpecifier:
        wanted = None
    is_allowed = wanted is not None and any(each.operator == "==" and each.version >= "2" for each in wanted)
    if wanted is None or not (is_allowed or any(map(wanted.contains, _NEW))):
        return None
    reason = f"{required.location} asks for {package}{required.specifier}"
    return _Target(Severity.WARNING if any(map(wanted.contains, _OLD)) else Severity.ERROR, reason)


def _finding(calls: list[Call], package: str, name: str, target: _Target) -> CodeFinding:
    first, *others = calls
    node = next(keyword for keyword in first.node.keywords if keyword.arg == name)
    return build.at_node(
        first.place.module,
        node.value,
        "VC118",
        target.severity,
        f"{package} {REFUSED_SINCE} and newer do not take Trainer({name}=)",
        remedy=f"Write {REFUSED[name]}, or install {package} older than {REFUSED_SINCE}."
        if not REFUSED[name].startswith("leave")
        else f"L{REFUSED[name][1:]}. Or install {package} older than {REFUSED_SINCE}.",
        evidence=(target.reason, "read in the wheels of 1.9.5 and 2.0.0"),
        url=_URL,
        also=tuple(build.place_of(call.place.module, call.node) for call in others),
    )
