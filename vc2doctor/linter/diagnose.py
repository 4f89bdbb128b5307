"""One diagnosis instead of forty lines: the places of one cause, the deciding one first."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import Region
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.loss_scaling import computes_in, scalers_of, scaling
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.analyse.values import BFLOAT, HALF
from vc2doctor.linter.model import ROLES, CodeFinding, Diagnosis
from vc2doctor.linter.to_bfloat16 import disable_scaler, halves_to_bf16


def diagnose(facts: Facts, findings: Iterable[CodeFinding]) -> tuple[Diagnosis, ...]:
    """Return one diagnosis for each unit that trains in float16 at more than one place."""
    by_unit: dict[str, list[CodeFinding]] = defaultdict(list)
    for finding in findings:
        if finding.cause == "float16" and finding.path is not None:
            by_unit[facts.code.folder_of(finding.file)].append(finding)
    found = []
    for folder, mine in sorted(by_unit.items()):
        unit = facts.code.units.get(folder)
        if unit is None or all(finding.severity is Severity.NOTE for finding in mine):
            continue
        places = sorted([*mine, *_companions(facts, unit, mine)], key=_order)
        if len(places) > 1:
            found.append(Diagnosis(unit=folder, title=_title(facts, unit, places), places=tuple(places)))
    return tuple(found)


def _order(finding: CodeFinding) -> tuple[int, int, str, int]:
    return ROLES.index(finding.role), -finding.severity.rank, finding.path or "", finding.line or 0


def _title(facts: Facts, unit: Unit, places: list[CodeFinding]) -> str:
    count = sum(len(place.places) for place in places)
    named = f"{unit.folder or 'this project'} "
    if _begun(facts, unit):
        return f"{named}is half way to bfloat16: {count} places still make it float16"
    return f"{named}trains in float16: {count} places make bfloat16 complete"


def _begun(facts: Facts, unit: Unit) -> bool:
    """Say whether some of the unit's training computes, or loads, in bfloat16 already."""
    loads = any(load.dtypes == {BFLOAT} and not load.inert for load in facts.weights.trained_loads(unit))
    regions = any(
        region.dtypes == {BFLOAT} and region.stage is Stage.TRAINS and facts.code.unit_of(region.place.module) is unit
        for region in facts.autocast.regions
    )
    return loads or regions


def _companions(facts: Facts, unit: Unit, findings: list[CodeFinding]) -> Iterator[CodeFinding]:
    """Yield the places that are right for float16, and have to change with the rest."""
    told = {(finding.path, finding.line) for finding in findings}
    for loop in facts.loops.of(unit):
        for region in loop.regions:
            if region.dtypes == {HALF} and region.autocast.given is not None and region.helper is None:
                yield from _explicit(region, told)
        if HALF in computes_in(facts, unit, loop) and scaling(facts, loop):
            yield from _scalers(facts, unit, loop, told)


def _explicit(region: Region, told: set[tuple[str | None, int | None]]) -> Iterator[CodeFinding]:
    module = region.place.module
    given = region.autocast.given
    edits = halves_to_bf16(module, given) if given is not None else ()
    found = build.at(
        module,
        region.call.node,
        "VC102",
        Severity.NOTE,
        "the region of the training step is float16",
        remedy="dtype=torch.bfloat16",
        role="outer",
        cause="float16",
        bf16=edits,
        if_missed="what runs outside of the helper's regions computes in float16",
    )
    if (found.path, found.line) not in told:
        told.add((found.path, found.line))
        yield found


def _scalers(facts: Facts, unit: Unit, loop: Loop, told: set[tuple[str | None, int | None]]) -> Iterator[CodeFinding]:
    for scaler in scalers_of(facts, unit, loop):
        edits = disable_scaler(facts, scaler)
        if scaler.enabled == {False} or not edits:
            continue
        found = build.at(
            scaler.call.place.module,
            scaler.call.node,
            "VC104",
            Severity.NOTE,
            "the scaler is right for float16 and follows the switch, not the dtype",
            remedy="Enable it for float16 only; a disabled scaler keeps every scaler.* call valid.",
            role="scaler",
            cause="float16",
            bf16=edits,
            if_missed="finite while every trainable parameter is float32; on CUDA bfloat16 gradients raise",
        )
        if (found.path, found.line) not in told:
            told.add((found.path, found.line))
            yield found
