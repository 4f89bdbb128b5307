"""Recognizes training that is consistently float16 with loss scaling: its float16 places are no faults."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loss_scaling import compute_dtypes, scale_calls, scalers_of
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.model import CodeFinding

_ADAPTER_CALLS = ("get_peft_model", "inject_adapter_in_model")
_REMEDY_OF_BOTH = (
    "Load these weights in float32, because they are trained themselves, and let bf16=True or autocast compute in"
    " bfloat16."
)
_OF_ONE_RUN = ("config", "launch")
"""The roles of places that say something about one run, and not about every program that imports the code."""


def is_scaled_float16(facts: Facts, unit: Unit) -> bool:
    """Return whether every training loop of a unit computes in float16 under an enabled scaler, without bfloat16.

    Weights that are loaded in float16 and have no adapters are trained as a whole, on which a scaler raises: then the
    answer is no. It is also no where a dtype is not known.
    """
    loops = [(loop, compute_dtypes(facts, unit, loop)) for loop in facts.loops.of(unit)]
    in_autocast = [(loop, dtypes) for loop, dtypes in loops if dtypes]
    if not in_autocast or any(dtypes != {FLOAT16} for _, dtypes in in_autocast):
        return False
    loads = [load for load in facts.weights.trained_loads(unit) if not load.is_inert]
    has_adapters = any(name in unit.calls for name in _ADAPTER_CALLS)
    if any(BFLOAT16 in load.dtypes or (FLOAT16 in load.dtypes and not has_adapters) for load in loads):
        return False
    return all(
        scale_calls(facts, loop) and any(scaler.enabled != {False} for scaler in scalers_of(facts, unit, loop))
        for loop, _ in in_autocast
    )


def with_severities(facts: Facts, findings: Iterable[CodeFinding]) -> Iterator[CodeFinding]:
    """Yield the findings; the float16 places of consistent units are notes.

    They keep their severities where code among them is an error, which means that the model is known to overflow. An
    error at a configuration or a command is about the runs that use it: it stays, and the code is right in other runs.
    """
    by_folder: dict[str, list[CodeFinding]] = defaultdict(list)
    for finding in findings:
        if finding.cause == "float16":
            by_folder[facts.code.folder_of(finding.file)].append(finding)
        else:
            yield finding
    for folder, places in by_folder.items():
        unit = facts.code.units.get(folder)
        overflows = any(place.severity is Severity.ERROR and place.role not in _OF_ONE_RUN for place in places)
        is_consistent = unit is not None and not overflows and is_scaled_float16(facts, unit)
        for place in places:
            is_right = is_consistent and place.severity is not Severity.ERROR
            yield place.model_copy(update={"severity": Severity.NOTE}) if is_right else place


def with_one_remedy(findings: Iterable[CodeFinding]) -> Iterator[CodeFinding]:
    """Yield the findings; a line that loads weights and decides what is trained (VC101, VC109) gets one remedy.

    VC101 alone would load them in bfloat16, and VC109 would then report bfloat16 parameters without float32 copies.
    """
    every = list(findings)
    trained = {finding.key[:2] for finding in every if finding.id == "VC109" and finding.role == "cast"}
    loaded = {finding.key[:2] for finding in every if finding.id == "VC101"}
    for finding in every:
        is_shared = finding.id in ("VC101", "VC109") and finding.key[:2] in trained & loaded
        yield finding.model_copy(update={"remedy": _REMEDY_OF_BOTH}) if is_shared else finding
