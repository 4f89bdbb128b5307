"""Releases that code asks for itself: ``check_min_version("4.28.0")`` raises below, and so does ``require_version``.

https://github.com/huggingface/transformers/blob/main/src/transformers/utils/versions.py
"""

import ast
from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from vc2doctor.linter.analyse.api_use import ModuleContext, Use
from vc2doctor.linter.knowledge.api_table import Existence
from vc2doctor.linter.read.module import Call

_ASKING = ("check_min_version", "require_version", "require_version_core")
"""Functions of transformers that raise ImportError if a release is not there. diffusers has others by these names."""

MAX_CONDITION = 80
"""Characters of a condition that a message repeats."""


def minimum_uses(context: ModuleContext) -> Iterator[Use]:
    """Yield the calls that raise below some release of a training package."""
    for call in context.module.calls if any(name in context.module.source.text for name in _ASKING) else ():
        asked = _asked(context, call)
        package = context.table.packages.get(asked[0]) if asked is not None else None
        if asked is None or package is None:
            continue
        works = sum(1 << at for at, version in enumerate(package.versions) if asked[1].contains(version))
        existence = Existence(package.name, works)
        refused = package.everything & ~works
        is_conditional = bool(call.place.conditions)
        label = f"{call.name}({ast.unparse(call.node.args[0])})"
        uses = context.use("call", label, existence, call.node, is_conditional=is_conditional)
        for use in uses if works else ():
            problems = ((refused, f"asks for {package.name}{asked[1]} and raises"),)
            yield use._replace(problems=problems, only_with=_condition(call))


def _condition(call: Call) -> str:
    """Return what has to hold for a call to run, in words; empty: nothing, or only that the check is not turned off."""
    asked = [ast.unparse(condition) for condition, wanted in call.place.conditions if wanted]
    return f"`{asked[-1]}`" if asked and len(asked[-1]) <= MAX_CONDITION else "its condition" if asked else ""


def _asked(context: ModuleContext, call: Call) -> tuple[str, SpecifierSet] | None:
    """Return the package and the releases that a call asks for; ``None``: it asks for none that can be read."""
    if call.name not in _ASKING or not context.module.dotted(call.node.func).startswith("transformers."):
        return None
    match call.node.args:
        case [ast.Constant(value=str(text)), *_]:
            try:
                if call.name == "check_min_version":
                    return "transformers", SpecifierSet(f">={text}", prereleases=True)
                requirement = Requirement(text)
            except (InvalidRequirement, InvalidSpecifier):
                return None
            requirement.specifier.prereleases = True
            return requirement.name, requirement.specifier
    return None
