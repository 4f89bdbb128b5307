"""Groups findings into diagnoses: one for each unit that trains in float16, with all places that have to change."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import Region
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.loss_scaling import compute_dtypes, scale_calls, scalers_of
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.scalers import Scaler
from vc2doctor.linter.consistent import is_scaled_float16
from vc2doctor.linter.model import ROLES, CodeFinding, Diagnosis
from vc2doctor.linter.to_bfloat16 import disable_scaler, float16_to_bfloat16


def diagnose(facts: Facts, findings: Iterable[CodeFinding]) -> tuple[Diagnosis, ...]:
    """Return one diagnosis for each unit that trains in float16 at more than one place."""
    by_folder: dict[str, list[CodeFinding]] = defaultdict(list)
    for finding in findings:
        if finding.cause == "float16" and finding.path is not None:
            by_folder[facts.code.folder_of(finding.file)].append(finding)
    diagnoses = []
    for folder, unit_findings in sorted(by_folder.items()):
        unit = facts.code.units.get(folder)
        if unit is None:
            continue
        # Notes alone are no diagnosis, except for consistent float16, which has a diagnosis of notes.
        if all(finding.severity is Severity.NOTE for finding in unit_findings) and not is_scaled_float16(facts, unit):
            continue
        places = sorted([*unit_findings, *_companions(facts, unit, unit_findings)], key=_order)
        if len(places) > 1:
            diagnoses.append(Diagnosis(unit=folder, title=_title(facts, unit, places), places=tuple(places)))
    return tuple(diagnoses)


def _order(finding: CodeFinding) -> tuple[int, int, str, int]:
    return ROLES.index(finding.role), -finding.severity.rank, finding.path or "", finding.line or 0


def _title(facts: Facts, unit: Unit, places: list[CodeFinding]) -> str:
    count = sum(len(place.places) for place in places)
    name = unit.folder or "this project"
    if _uses_bfloat16(facts, unit):
        return f"{name} is half way to bfloat16: {count} places still make it float16"
    if not is_scaled_float16(facts, unit):
        return f"{name} trains in float16: {count} places make bfloat16 complete"
    errors = {place.id for place in places if place.severity is Severity.ERROR}
    if errors == {"VC109"}:
        return (
            f"{name} trains float16 weights with loss scaling, which raises at the first step: keep them float32, or"
            f" change {count} places to bfloat16"
        )
    if errors:
        return (
            f"{name} trains in float16 with loss scaling, and its model overflows float16: {count} places must change"
        )
    return f"{name} trains in float16 with loss scaling, which is consistent: {count} places would change for bfloat16"


def _uses_bfloat16(facts: Facts, unit: Unit) -> bool:
    """Return whether some training code of the unit already loads weights or computes in bfloat16."""
    loads = any(load.dtypes == {BFLOAT16} and not load.is_inert for load in facts.weights.trained_loads(unit))
    return loads or any(region.dtypes == {BFLOAT16} for region in facts.autocast.training_regions(unit))


def _companions(facts: Facts, unit: Unit, findings: list[CodeFinding]) -> Iterator[CodeFinding]:
    """Yield the places that are no fault in float16, but must change too when the project switches to bfloat16."""
    known = {(finding.path, finding.line) for finding in findings}
    for companion in _candidates(facts, unit):
        if (companion.path, companion.line) not in known:
            known.add((companion.path, companion.line))
            yield companion


def _candidates(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    for loop in facts.loops.of(unit):
        for region in loop.regions:
            if region.dtypes == {FLOAT16} and region.autocast.dtype_argument is not None and region.helper is None:
                yield _float16_region(region)
        if FLOAT16 in compute_dtypes(facts, unit, loop) and scale_calls(facts, loop):
            yield from _float16_scalers(facts, unit, loop)


def _float16_region(region: Region) -> CodeFinding:
    module = region.place.module
    dtype = region.autocast.dtype_argument
    return build.at_node(
        module,
        region.call.node,
        "VC102",
        Severity.NOTE,
        "the region of the training step is float16",
        remedy="dtype=torch.bfloat16",
        role="outer",
        cause="float16",
        bf16_edits=float16_to_bfloat16(module, dtype) if dtype is not None else (),
        if_missed="what runs outside of the helper's regions computes in float16",
    )


def _float16_scalers(facts: Facts, unit: Unit, loop: Loop) -> Iterator[CodeFinding]:
    for scaler in scalers_of(facts, unit, loop):
        if scaler.enabled != {False} and disable_scaler(facts, scaler):
            yield _float16_scaler(facts, scaler)


def _float16_scaler(facts: Facts, scaler: Scaler) -> CodeFinding:
    return build.at_node(
        scaler.call.place.module,
        scaler.call.node,
        "VC104",
        Severity.NOTE,
        "GradScaler is only for float16. Turn it off under bfloat16",
        remedy="Enable it for float16 only. The calls of a disabled scaler stay valid.",
        role="scaler",
        cause="float16",
        bf16_edits=disable_scaler(facts, scaler),
        if_missed="training works while every trainable parameter is float32; on CUDA bfloat16 gradients raise",
    )
