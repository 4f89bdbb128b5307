"""Deprecated names of `torch.cuda.amp`.

**What it does.** Counts the uses and imports of `torch.cuda.amp.autocast` and `torch.cuda.amp.GradScaler`. A report has
one such finding, with all places in it.

**Why is this bad.** torch 2.4 and newer warn at every call. Training is not affected, so this is a note.

**Example**

    from torch.cuda.amp import autocast, GradScaler

**Use instead**

    with torch.autocast("cuda", dtype=torch.bfloat16): ...
    scaler = torch.amp.GradScaler("cuda")

**How to fix.** Write the new names, with the dtype: without a dtype the new autocast takes that of the region around it
(VC102). `vc2doctor lint --fix` renames calls that give their dtype, and deletes imports that are not used. To keep a
line, add `# vc2doctor: ignore[VC108]`; to turn the rule off, write `ignore = ["VC108"]`.

**Quiet.** No finding in code that evaluates or tests. Where the project pins torch below 2.3, the remedy keeps
GradScaler, because `torch.amp.GradScaler` does not exist there. `torch.autocast` exists since torch 1.10.

**References**

* https://docs.pytorch.org/docs/stable/amp.html#torch.cuda.amp.autocast
"""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.core.versions import older
from vc2doctor.core.wording import enumerated
from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding, CodePlace, Edit
from vc2doctor.linter.read.module import Module
from vc2doctor.linter.read.syntax import walk

_PACKAGE = "torch.cuda.amp"
_REPLACEMENTS = {"autocast": 'torch.autocast("cuda", dtype=…)', "GradScaler": 'torch.amp.GradScaler("cuda")'}
_GENERIC_SCALER_SINCE = "2.3"
_URL = "https://docs.pytorch.org/docs/stable/amp.html#torch.cuda.amp.autocast"


class Use(NamedTuple):
    """A place that uses or imports a deprecated name."""

    place: CodePlace
    name: str
    edits: tuple[Edit, ...] = ()


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield one finding for the whole project: it costs nothing but noise, so one line is enough."""
    uses: list[Use] = []
    old_torch: set[str] = set()
    for module in facts.code.files.modules.values():
        if is_inference_path(module.name) or "cuda" not in module.source.text:
            continue
        found = [*_deprecated_names(module), *_unused_imports(module)]
        torch = facts.code.version(facts.code.unit_of(module), "torch")
        if torch is not None and older(torch, _GENERIC_SCALER_SINCE) and any(use.name == "GradScaler" for use in found):
            old_torch.add(torch)
        uses += found
    if uses:
        yield _finding(uses, sorted(old_torch))


def _finding(uses: list[Use], old_torch: list[str]) -> CodeFinding:
    names = sorted({use.name for use in uses})
    places = sorted({(use.place.path, use.place.line, use.place.end_line) for use in uses})
    (path, line, _), *_ = places
    _, *others = (CodePlace(path=path, line=line, end_line=end) for path, line, end in places)
    finding = build.at_line(
        path,
        line,
        "VC108",
        Severity.NOTE,
        f"{enumerated([f'{_PACKAGE}.{name}' for name in names])} {'is' if len(names) == 1 else 'are'} deprecated "
        "since torch 2.4, which warns at each call",
        remedy=" ".join(_remedies(names, old_torch)),
        url=_URL,
        also=tuple(others),
        safe_edits=tuple(edit for use in uses for edit in use.edits),
    )
    return finding.model_copy(update={"end_line": places[0][2]})


def _remedies(names: list[str], old_torch: list[str]) -> Iterator[str]:
    for name in names:
        yield f"Write {_REPLACEMENTS[name]} instead of {name}, and delete imports that are not used."
    if "autocast" in names:
        yield "Keep the dtype: without it, the new autocast takes the dtype of the region around it."
    if old_torch:
        yield f"Keep GradScaler where torch {enumerated(old_torch)} is pinned: torch.amp.GradScaler exists since 2.3."


def _deprecated_names(module: Module) -> Iterator[Use]:
    """Yield the uses of deprecated names in a module, and the imports of what is used."""
    calls = {call.node.func: call.node for call in module.calls}
    used: set[str] = set()
    for node in walk(module.source.tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            package, _, name = module.dotted(node).rpartition(".")
            if package == _PACKAGE and name in _REPLACEMENTS:
                used.update([name] if isinstance(node, ast.Name) else [])
                yield Use(build.place_of(module, node), name, _renaming(module, node, calls.get(node)))
    for name in sorted(used):
        for statement in _imports_of(module, name):
            yield Use(build.place_of(module, statement), name)


def _imports_of(module: Module, name: str) -> list[ast.stmt]:
    """Return the statements ``from torch.cuda.amp import name``."""
    return [
        statement for statement in _imports_of_package(module) if any(alias.name == name for alias in statement.names)
    ]


def _imports_of_package(module: Module) -> Iterator[ast.ImportFrom]:
    for place in module.statements:
        if isinstance(place.statement, ast.ImportFrom) and place.statement.module == _PACKAGE:
            yield place.statement


def _renaming(module: Module, node: ast.expr, call: ast.Call | None) -> tuple[Edit, ...]:
    """Return the edits to ``torch.autocast``, if they keep the meaning: only with a dtype that is given by keyword."""
    if call is None or ast.unparse(node) != f"{_PACKAGE}.autocast" or module.imports.get("torch") != "torch":
        return ()
    if call.args or not any(keyword.arg == "dtype" for keyword in call.keywords):
        return ()
    return (
        change.replace_expression(module, node, "torch.autocast"),
        change.prepend_argument(module, call, '"cuda"'),
    )


def _unused_imports(module: Module) -> Iterator[Use]:
    used_names = {node.id for node in walk(module.source.tree) if isinstance(node, ast.Name)}
    # A package's __init__ and a module with __all__ import names for others.
    if module.name.endswith("__init__.py") or "__all__" in used_names:
        return
    for statement in _imports_of_package(module):
        for alias in statement.names:
            local = alias.asname or alias.name
            if local not in used_names and alias.name in _REPLACEMENTS:
                edit = change.remove_import(module, statement, local)
                yield Use(build.place_of(module, statement), alias.name, (edit,))
