"""The uses in one installed package of what the installed training packages lack."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from vc2doctor.linter.analyse.api_target import allowed_bits, described
from vc2doctor.linter.analyse.api_use import Use
from vc2doctor.linter.analyse.api_uses import api_uses
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.knowledge.api_table import PackageTable, load_table
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


def uses_that_fail(folder: Path, installed: Mapping[str, str], declared: Mapping[str, str]) -> Iterator[FailingUse]:
    """Yield what the code in ``folder`` uses and the ``installed`` releases lack, if it certainly runs.

    ``declared`` are the specifiers that the package declares. A use that fails with every release that it allows is on
    a branch that hardly runs: its authors would have met it.
    """
    table = load_table()
    if table is None:
        return
    facts = Facts(CodeFacts(read_project((folder,), (), {}, installed)))
    for use in api_uses(facts):
        package = table.packages[use.existence.package]
        position = package.position(installed[package.name]) if package.name in installed else None
        if position is None or use.existence.bits >> position & 1 or not _certainly_runs(use):
            continue
        allowed = allowed_bits(package, declared.get(package.name, ""))
        if allowed is not None and not allowed & use.existence.bits:
            continue
        works_with = nearest_releases(use.existence.bits, position, package)
        yield FailingUse(package.name, _description(use, position, package), works_with, use.file, use.line)


def _certainly_runs(use: Use) -> bool:
    if use.is_conditional or use.module is None:
        return False
    if use.kind == "override":
        return True
    return use.kind == "name" and use.node in use.module.source.tree.body and isinstance(use.node, ast.stmt)


def _description(use: Use, position: int, package: PackageTable) -> str:
    if use.kind == "override":
        return f"{use.problem(position)}, which {use.label} does not take"
    return f"does not have {use.label}: {described(use.existence.bits, position, package)}"


def nearest_releases(bits: int, position: int, package: PackageTable) -> str:
    """Return the releases in ``bits`` around the one nearest to ``position``, as a specifier; empty: there are none."""
    places = [place for place in range(len(package.releases)) if bits >> place & 1]
    if not places:
        return ""
    first = last = min(places, key=lambda place: abs(place - position))
    while first and bits >> (first - 1) & 1:
        first -= 1
    while bits >> (last + 1) & 1:
        last += 1
    lower = f">={package.releases[first]}" if first else ""
    upper = f"<={package.releases[last]}" if last < len(package.releases) - 1 else ""
    return ",".join(part for part in (lower, upper) if part)
