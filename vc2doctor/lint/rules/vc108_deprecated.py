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
from collections.abc import Iterator

from packaging.version import InvalidVersion, Version

from vc2doctor.findings import Severity
from vc2doctor.lint.model import CodeFinding, Edit
from vc2doctor.lint.module import Module
from vc2doctor.lint.rules import making
from vc2doctor.lint.stage import infers_by_path
from vc2doctor.lint.weights import Facts

_OLD = "torch.cuda.amp."
_NEW = {"autocast": 'torch.autocast("cuda", dtype=…)', "GradScaler": 'torch.amp.GradScaler("cuda")'}
_SCALER_SINCE = Version("2.3")
_URL = "https://docs.pytorch.org/docs/stable/amp.html#torch.cuda.amp.autocast"


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find names that torch has deprecated."""
    for module in facts.code.modules.values():
        if infers_by_path(module.name) or "cuda" not in module.source.text:
            continue
        pinned = facts.code.version(facts.code.unit_of(module), "torch")
        yield from _names(module, pinned)
        yield from _unused(module)


def _names(module: Module, pinned: str | None) -> Iterator[CodeFinding]:
    calls = {id(call.node.func): call.node for call in module.calls}
    for node in ast.walk(module.source.tree):
        if not isinstance(node, ast.Attribute | ast.Name) or not isinstance(node.ctx, ast.Load):
            continue
        dotted = module.dotted(node)
        name = dotted.removeprefix(_OLD)
        if not dotted.startswith(_OLD) or name not in _NEW:
            continue
        note = (
            f"the pinned torch {pinned} has no torch.amp.GradScaler: keep it until 2.3"
            if name == "GradScaler" and _before(pinned)
            else ""
        )
        yield making.at(
            module,
            node,
            "VC108",
            Severity.NOTE,
            f"{dotted} is deprecated since torch 2.4",
            evidence=(note,) if note else (),
            remedy=note
            or f"Write {_NEW[name]}; a plain renaming of autocast would change what it means inside another region.",
            url=_URL,
            safe=_renamed(module, node, calls.get(id(node))),
        )


def _renamed(module: Module, node: ast.expr, call: ast.Call | None) -> tuple[Edit, ...]:
    """Return the edits to the new name, where they cannot change the meaning: the dtype is written out, by keyword."""
    if call is None or ast.unparse(node) != f"{_OLD}autocast" or call.args or module.imports.get("torch") != "torch":
        return ()
    if not any(keyword.arg == "dtype" for keyword in call.keywords):
        return ()
    return (making.replace(module, node, "torch.autocast"), making.first(module, call, '"cuda"'))


def _before(pinned: str | None) -> bool:
    try:
        return pinned is not None and Version(pinned) < _SCALER_SINCE
    except InvalidVersion:
        return False


def _unused(module: Module) -> Iterator[CodeFinding]:
    used = {node.id for node in ast.walk(module.source.tree) if isinstance(node, ast.Name)}
    exported = module.name.endswith("__init__.py") or "__all__" in used
    for place in module.statements:
        statement = place.statement
        if isinstance(statement, ast.ImportFrom) and statement.module == "torch.cuda.amp" and not exported:
            for name in statement.names:
                local = name.asname or name.name
                if local not in used and name.name in _NEW:
                    edits: tuple[Edit, ...] = (making.unimport(module, statement, local),)
                    yield making.at(
                        module,
                        statement,
                        "VC108",
                        Severity.NOTE,
                        f"the deprecated {_OLD}{name.name} is imported and never used",
                        remedy="Delete the import.",
                        url=_URL,
                        safe=edits,
                    )
