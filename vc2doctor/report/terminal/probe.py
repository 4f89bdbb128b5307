"""The probe's part of the report for people."""

from collections.abc import Iterator

from rich.text import Text

from vc2doctor.checks.plan import Plan
from vc2doctor.commands.report import ProbeReport
from vc2doctor.core.precision import bits_of
from vc2doctor.probe.facts import Headroom
from vc2doctor.probe.outcome import RecipeOutcome, Stress
from vc2doctor.report.terminal.lines import Line, Marks, plain, row
from vc2doctor.target.shared.recipes import RECIPES

_KINDS = {"finite": "good", "unsupported": "none", None: "none", "weak": "warn"}
_BAR, _MOST_BITS = 20, 16.0
_MEASURES = {"measured": "note", "unsupported": "none", "failed": "bad"}


def render(probe: ProbeReport, plan: Plan, marks: Marks) -> Iterator[Line]:
    """Yield the lines on the probe."""
    where = f" on {probe.device.name or probe.device.device}" if probe.device else ""
    yield Line(Text(plain(f"  Probe{where}: {probe.ending}, {probe.seconds:.1f} s"), "bold"))
    if probe.loaded is not None:
        loaded = probe.loaded
        told = f"{loaded.architecture}, {loaded.parameters / 1e6:.4g} million weights, in {loaded.dtype}"
        yield row(marks("note"), "checkpoint", "", told)
    # The miniature's weights are random: its range says nothing to a reader.
    if probe.headroom is not None and plan.custom_subject:
        yield row(marks("note"), "float16 headroom", "", _headroom(probe.headroom))
    if probe.headroom is not None and plan.checkpoint:
        yield from _layers(probe.headroom, marks)
    if probe.import_failure is not None:
        yield row(marks("bad"), f"import {probe.import_package}", "error", probe.import_failure.message)
    if probe.load_failure is not None:
        yield row(marks("bad"), "what was named", "error", probe.load_failure.message)
    for outcome in probe.recipes:
        yield _recipe(outcome, marks, decides=outcome.recipe == plan.precision)
    adapter = probe.adapter
    if adapter is not None:
        kind = "good" if adapter.same and adapter.error is None else "bad"
        told = "the same model" if kind == "good" else (adapter.error.message if adapter.error else "another model")
        yield row(marks(kind), "save, reload, generate", "", told)
    yield from _measures(probe, marks)
    yield from _stress(probe.stress, marks)


def _headroom(headroom: Headroom) -> str:
    tightest = headroom.tightest
    return f"{tightest.bits:.1f} bits: |x| up to {tightest.largest:.5g} in {tightest.description}"


def _layers(headroom: Headroom, marks: Marks) -> Iterator[Line]:
    for layer, largest in headroom.layers.items():
        bits = bits_of(largest)
        kind = "bad" if bits < 0 else "none"
        bar = "#" * round(_BAR * (1 - max(0.0, min(bits, _MOST_BITS)) / _MOST_BITS))
        yield row(marks(kind), f"  {layer}", f"{bits:.1f} bits", f"{bar:<{_BAR}} |x| up to {largest:.5g}")


def _recipe(outcome: RecipeOutcome, marks: Marks, *, decides: bool) -> Line:
    kind = _KINDS.get(outcome.outcome, "bad")
    if RECIPES[outcome.recipe].contradicts and not decides:
        kind = "note"
    name = f"{outcome.recipe} (decides)" if decides else outcome.recipe
    told = f"{outcome.description}; {outcome.cause.description}" if outcome.cause else outcome.description
    return row(marks(kind), name, outcome.outcome or "not measured", told)


def _measures(probe: ProbeReport, marks: Marks) -> Iterator[Line]:
    # Without a GPU none was asked; VC009 tells of that.
    for measure in () if probe.not_measured else probe.measures:
        yield row(marks(_MEASURES[measure.status]), measure.name, measure.status, measure.description)


def _stress(stress: tuple[Stress, ...], marks: Marks) -> Iterator[Line]:
    if not stress:
        return
    yield Line(Text())
    yield Line(
        Text("  Planted outliers of documented size: a margin, the same on every machine, and no verdict", "bold")
    )
    for one in stress:
        bits = f"{one.headroom.tightest.bits:.2f} bits" if one.headroom else ""
        found = ", ".join(f"{outcome.recipe} {outcome.outcome or 'not measured'}" for outcome in one.recipes)
        yield row(marks("note"), one.plant, bits, found)
