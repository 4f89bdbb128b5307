"""Calls that a newer torch refuses: for an argument that went, or one that has to be given."""

from collections import defaultdict
from collections.abc import Iterator

from packaging.version import Version

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.api_guards import guards_of
from vc2doctor.linter.analyse.api_keywords import keywords_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.detectors.torch_names import TorchTarget, torch_of
from vc2doctor.linter.knowledge.torch_names import REFUSED_CALLS, RefusedCall
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Module

_URL = "https://github.com/pytorch/pytorch/releases"
_WORDS = tuple({call.word for call in REFUSED_CALLS})


def refused_torch_calls(facts: Facts) -> Iterator[CodeFinding]:
    """Yield calls that the release of torch refuses (VC118), one finding a kind and unit."""
    found: dict[tuple[str, RefusedCall], list[Call]] = defaultdict(list)
    for module in facts.code.files.modules.values():
        if any(word in module.source.text for word in _WORDS):
            for call, refused in _refused(module):
                found[facts.code.folder_of(module.name), refused].append(call)
    for (folder, refused), calls in found.items():
        torch = torch_of(facts, folder)
        if torch is not None and torch.newest >= Version(refused.release):
            yield _finding(calls, refused, torch)


def _refused(module: Module) -> Iterator[tuple[Call, RefusedCall]]:
    guards = guards_of(module)
    for call in module.calls:
        statement = call.place.statement
        if statement is not None and guards.is_guarded(statement):
            continue
        dotted = module.dotted(call.node.func)
        refused = next((each for each in REFUSED_CALLS if each.name.fullmatch(dotted)), None) if dotted else None
        if refused is not None and _is_refused(call, refused):
            yield call, refused


def _is_refused(call: Call, refused: RefusedCall) -> bool:
    keywords, is_complete = keywords_of(call)
    names = {keyword.name for keyword in keywords}
    if refused.is_required:
        # Arguments by position could reach it, which nobody writes.
        return refused.keyword not in names and is_complete and len(call.node.args) <= refused.max_positional
    return refused.keyword in names


def _finding(calls: list[Call], refused: RefusedCall, torch: TorchTarget) -> CodeFinding:
    first, *others = calls
    verb = "requires" if refused.is_required else "does not take"
    return build.at_node(
        first.place.module,
        first.node,
        "VC118",
        Severity.ERROR if torch.is_exact else Severity.WARNING,
        f"torch {torch.newest} {verb} {refused.keyword}= in {first.name}: since {refused.release}",
        remedy=f"{refused.instead}, or install a torch older than {refused.release}.",
        evidence=(torch.reason,),
        url=_URL,
        also=tuple(build.place_of(call.place.module, call.node) for call in others),
    )
