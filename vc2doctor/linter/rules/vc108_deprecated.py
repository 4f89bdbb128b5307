"""A deprecated name of torch.cuda.amp.

**Why.** torch 2.4 and newer warn at every call of `torch.cuda.amp.autocast` and `torch.cuda.amp.GradScaler`. It costs
nothing but noise, so this is a note. A plain renaming of autocast changes what nesting means (VC102): the new name
needs the dtype written out.

**Bad**

    from torch.cuda.amp import autocast, GradScaler

**Good**

    with torch.autocast("cuda", dtype=torch.bfloat16): ...
    scaler = torch.amp.GradScaler("cuda")

**Quiet** about the scaler where the project pins torch below 2.3: `torch.amp.GradScaler` does not exist there.

**Silence** a line with `# vc2doctor: ignore[VC108]`, or the rule with `ignore = ["VC108"]`.

**Since** torch 2.4; `torch.autocast` exists since 1.10, `torch.amp.GradScaler` since 2.3.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.core.versions import older
from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding, Edit
from vc2doctor.linter.read.module import Module
from vc2doctor.linter.read.syntax import walk

_PACKAGE = "torch.cuda.amp"
_REPLACEMENTS = {"autocast": 'torch.autocast("cuda", dtype=…)', "GradScaler": 'torch.amp.GradScaler("cuda")'}
_GENERIC_SCALER_SINCE = "2.3"
_URL = "https://docs.pytorch.org/docs/stable/amp.html#torch.cuda.amp.autocast"


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield uses and unused imports of names that torch has deprecated."""
    for module in facts.code.files.modules.values():
        if is_inference_path(module.name) or "cuda" not in module.source.text:
            continue
        torch = facts.code.version(facts.code.unit_of(module), "torch")
        yield from _deprecated_names(module, torch)
        yield from _unused_imports(module)


def _deprecated_names(module: Module, torch: str | None) -> Iterator[CodeFinding]:
    """Yield one finding for each deprecated name that a module uses, at its import and at every use."""
    calls = {call.node.func: call.node for call in module.calls}
    uses: dict[str, list[ast.expr]] = defaultdict(list)
    for node in walk(module.source.tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            package, _, name = module.dotted(node).rpartition(".")
            if package == _PACKAGE and name in _REPLACEMENTS:
                uses[name].append(node)
    for name, nodes in uses.items():
        imports = _imports_of(module, name) if any(isinstance(node, ast.Name) for node in nodes) else []
        first, *others = sorted([*imports, *nodes], key=lambda node: build.span(module, node)[1])
        yield build.at_node(
            module,
            first,
            "VC108",
            Severity.NOTE,
            f"{_PACKAGE}.{name} is deprecated since torch 2.4",
            remedy=_remedy(name, torch),
            url=_URL,
            also=tuple(build.place_of(module, node) for node in others),
            safe_edits=tuple(edit for node in nodes for edit in _renaming(module, node, calls.get(node))),
        )


def _remedy(name: str, torch: str | None) -> str:
    if name == "GradScaler" and older(torch, _GENERIC_SCALER_SINCE):
        return f"The pinned torch {torch} has no torch.amp.GradScaler: keep it until 2.3."
    return (
        f"Write {_REPLACEMENTS[name]}; a plain renaming of autocast would change what it means inside another region."
    )


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


def _unused_imports(module: Module) -> Iterator[CodeFinding]:
    used_names = {node.id for node in walk(module.source.tree) if isinstance(node, ast.Name)}
    # A package's __init__ and a module with __all__ import names for others.
    if module.name.endswith("__init__.py") or "__all__" in used_names:
        return
    for statement in _imports_of_package(module):
        for alias in statement.names:
            local = alias.asname or alias.name
            if local not in used_names and alias.name in _REPLACEMENTS:
                yield build.at_node(
                    module,
                    statement,
                    "VC108",
                    Severity.NOTE,
                    f"the deprecated {_PACKAGE}.{alias.name} is imported and never used",
                    remedy="Delete the import.",
                    url=_URL,
                    safe_edits=(change.remove_import(module, statement, local),),
                )
