"""Imports go down only: lazy ones and those for types too. docs/architecture.md draws the layers."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "vc2doctor"

LAYERS = (
    "cli",
    "api",
    "report",
    "curate",
    "commands",
    "checks",
    "remedies",
    "linter",
    "probe",
    "matrix",
    "environment",
    "target.doors",
    "target.shared",
    "findings",
    "core",
)
"""The highest first. A module may import from its own package and from those below it in this list."""

LINTER = (
    "fix",
    "dependents",
    "run",
    "copies",
    "coverage",
    "diagnose",
    "consistent",
    "rules",
    "detectors",
    "to_bfloat16",
    "suppress",
    "build",
    "change",
    "scope",
    "analyse",
    "knowledge",
    "read",
    "model",
    "settings",
)
"""The layers within the linter, the highest first."""

FORBIDDEN = {
    "curate": ("commands", "checks", "remedies", "linter"),
    "commands": ("curate",),
    "core": ("target.shared", "target.doors"),
    "target.doors": ("findings", "core"),
    "target.shared": ("findings", "core"),
    "environment": ("findings",),
}
"""What a layer may not import although it lies below: maintainers' code, and what a target cannot import."""


def modules() -> dict[str, Path]:
    """Return the package's modules by dotted name below ``vc2doctor``."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def import_nodes(path: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Return every import in a file, at any depth of its code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))


def layer_of(module: str) -> str | None:
    """Return the layer that a module belongs to; ``None``: it is in none, such as the target's own code."""
    return next((layer for layer in LAYERS if module == layer or module.startswith(f"{layer}.")), None)


def imports_of(module: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield every module of the package that a module imports, at any depth of its code."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in import_nodes(path):
        if isinstance(node, ast.Import):
            yield from (
                name.name.removeprefix("vc2doctor.") for name in node.names if name.name.startswith("vc2doctor.")
            )
        else:
            base = _base(node, package)
            for name in node.names if base is not None else ():
                full = f"{base}.{name.name}".strip(".")
                yield full if full in known else base or ""


def _base(node: ast.ImportFrom, package: list[str]) -> str | None:
    if node.level:
        return ".".join(
            [*package[: len(package) - node.level + 1], *((node.module or "").split(".") if node.module else ())]
        )
    if node.module == "vc2doctor":
        return ""
    return node.module.removeprefix("vc2doctor.") if node.module and node.module.startswith("vc2doctor.") else None


def wrong_imports(arrows: Iterable[tuple[str, str]]) -> list[str]:
    """Return the arrows that go up, or to where they may not."""
    wrong = []
    for source, target in arrows:
        above, below = layer_of(source), layer_of(target)
        if above is None or below is None or above == below:
            continue
        if LAYERS.index(below) < LAYERS.index(above) or below in FORBIDDEN.get(above, ()):
            wrong.append(f"{source} imports {target}")
    return wrong


@cache
def arrows() -> tuple[tuple[str, str], ...]:
    """Return every import within the package as (importing module, imported module)."""
    known = modules()
    return tuple(
        (module, target)
        for module, path in known.items()
        for target in imports_of(module, path, known)
        if target != module
    )


def test_imports_go_down_only() -> None:
    assert wrong_imports(arrows()) == []


def test_imports_go_down_within_the_linter() -> None:
    wrong = []
    for source, target in arrows():
        if source.startswith("linter.") and target.startswith("linter."):
            above, below = (name.split(".")[1] for name in (source, target))
            if LINTER.index(below) < LINTER.index(above):
                wrong.append(f"{source} imports {target}")
    assert wrong == []


def test_no_rule_imports_another() -> None:
    rules = [(source, target) for source, target in arrows() if source.startswith("linter.rules.vc")]
    assert [pair for pair in rules if pair[1].startswith("linter.rules")] == []
    assert rules


def test_an_import_that_goes_up_is_seen() -> None:
    up = [("core.data", "findings"), ("matrix.judge", "checks.plan"), ("curate.run", "commands.check")]
    assert len(wrong_imports(iter(up))) == len(up)
    assert wrong_imports(iter([("checks.plan", "core.data"), ("core.data", "core.errors")])) == []


def test_every_module_has_a_layer() -> None:
    outside = {"", "__main__", "nox"}
    loose = [name for name in modules() if layer_of(name) is None and name not in outside]
    assert [name for name in loose if not name.startswith("target")] == []


def test_nothing_imports_the_code_of_the_target() -> None:
    bad = [
        f"{source} imports {target}"
        for source, target in arrows()
        if target.startswith("target") and layer_of(target) is None and not source.startswith("target")
    ]
    assert bad == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for source, target in arrows():
        # A package's own __init__ is loaded before any of its modules; importing from it is no circle of its own.
        if not source.startswith(f"{target}."):
            graph[source].add(target)
    assert [" -> ".join(circle) for circle in circles(graph)] == []


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return one path for each circle that a walk in depth comes upon."""
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> None:
        if node in path:
            found.append([*path[path.index(node) :], node])
            return
        if node in done:
            return
        for target in sorted(graph.get(node, ())):
            visit(target, [*path, node])
        done.add(node)

    for node in sorted(graph):
        visit(node, [])
    return found


@pytest.mark.parametrize("package", ["torch", "transformers", "peft"])
def test_the_doctor_imports_none_of_the_stack(package: str) -> None:
    for name, path in modules().items():
        if not name.startswith("target"):
            for node in import_nodes(path):
                if isinstance(node, ast.Import):
                    assert all(each.name.partition(".")[0] != package for each in node.names), name
                elif not node.level:
                    assert (node.module or "").partition(".")[0] != package, name
