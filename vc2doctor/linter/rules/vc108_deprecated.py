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
from vc2doctor.linter.analyse.stage import infers_by_path
from vc2doctor.linter.model import CodeFinding, Edit
from vc2doctor.linter.read.module import Module

_OLD = "torch.cuda.amp."
_NEW = {"autocast": 'torch.autocast("cuda", dtype=…)', "GradScaler": 'torch.amp.GradScaler("cuda")'}
_SCALER_SINCE = "2.3"
_URL = "https://docs.pytorch.org/docs/stable/amp.html#torch.cuda.amp.autocast"


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find names that torch has deprecated."""
    for module in facts.code.files.modules.values():
        if infers_by_path(module.name) or "cuda" not in module.source.text:
            continue
        pinned = facts.code.version(facts.code.unit_of(module), "torch")
        yield from _names(module, pinned)
        yield from _unused(module)


def _names(module: Module, pinned: str | None) -> Iterator[CodeFinding]:
    """Yield one finding for each name that a module uses, with all its places: the import, and every use."""
    calls = {call.node.func: call.node for call in module.calls}
    places: dict[str, list[ast.AST]] = defaultdict(list)
    edits: dict[str, list[Edit]] = defaultdict(list)
    for node in ast.walk(module.source.tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            dotted = module.dotted(node)
            name = dotted.removeprefix(_OLD)
            if name in _NEW and dotted.startswith(_OLD):
                places[name].append(node)
                edits[name] += _renamed(module, node, calls.get(node))
    for name, nodes in places.items():
        keep = name == "GradScaler" and older(pinned, _SCALER_SINCE)
        imports = _imports(module, name) if any(isinstance(node, ast.Name) for node in nodes) else []
        first, *rest = sorted([*imports, *nodes], key=lambda node: build.span(module, node)[1])
        yield build.at(
            module,
            first,
            "VC108",
            Severity.NOTE,
            f"{_OLD}{name} is deprecated since torch 2.4",
            remedy=f"The pinned torch {pinned} has no torch.amp.GradScaler: keep it until 2.3."
            if keep
            else f"Write {_NEW[name]}; a plain renaming of autocast would change what it means inside another region.",
            url=_URL,
            also=tuple(build.place(module, node) for node in rest),
            safe=tuple(edits[name]),
        )


def _imports(module: Module, name: str) -> list[ast.stmt]:
    """Return the statements that import a name by itself."""
    statements = (place.statement for place in module.statements)
    return [
        statement
        for statement in statements
        if isinstance(statement, ast.ImportFrom)
        and statement.module == "torch.cuda.amp"
        and any(each.name == name for each in statement.names)
    ]


def _renamed(module: Module, node: ast.expr, call: ast.Call | None) -> tuple[Edit, ...]:
    """Return the edits to the new name, where they cannot change the meaning: the dtype is written out, by keyword."""
    if call is None or ast.unparse(node) != f"{_OLD}autocast" or call.args or module.imports.get("torch") != "torch":
        return ()
    if not any(keyword.arg == "dtype" for keyword in call.keywords):
        return ()
    return (change.replace(module, node, "torch.autocast"), change.first(module, call, '"cuda"'))


def _unused(module: Module) -> Iterator[CodeFinding]:
    used = {node.id for node in ast.walk(module.source.tree) if isinstance(node, ast.Name)}
    exported = module.name.endswith("__init__.py") or "__all__" in used
    for place in module.statements:
        statement = place.statement
        if isinstance(statement, ast.ImportFrom) and statement.module == "torch.cuda.amp" and not exported:
            for name in statement.names:
                local = name.asname or name.name
                if local not in used and name.name in _NEW:
                    edits: tuple[Edit, ...] = (change.unimport(module, statement, local),)
                    yield build.at(
                        module,
                        statement,
                        "VC108",
                        Severity.NOTE,
                        f"the deprecated {_OLD}{name.name} is imported and never used",
                        remedy="Delete the import.",
                        url=_URL,
                        safe=edits,
                    )
