"""The probe's part of the report for people."""

from collections.abc import Iterator

from rich.text import Text

from vc2doctor.checks.plan import Plan
from vc2doctor.commands.report import ProbeReport
from vc2doctor.core.precision import bits_of
from vc2doctor.probe.facts import AdapterRun, Headroom
from vc2doctor.probe.outcome import Stress
from vc2doctor.report.terminal import doors, recipes
from vc2doctor.report.terminal.lines import Line, Marks, probe_row
from vc2doctor.report.terminal.recipes import Detail

_MARK_OF_STATUS = {"measured": "note", "unsupported": "none", "failed": "bad"}
_BAR_WIDTH = 20
_BAR_BITS = 16.0
"""Headroom at which a bar is empty: log2(65504 / 1), the headroom of a value of 1."""


def render(probe: ProbeReport, plan: Plan, marks: Marks, detail: Detail = "normal") -> Iterator[Line]:
    """Yield the lines about the probe."""
    device = f" on {probe.device.name or probe.device.device}" if probe.device else ""
    yield Line(Text(f"  Probe{device}: {probe.ending}, {probe.seconds:.1f} s", "bold"))
    if probe.loaded is not None:
        loaded = probe.loaded
        description = f"{loaded.architecture}, {loaded.parameters / 1e6:.4g} million weights, in {loaded.dtype}"
        yield probe_row(marks("note"), "checkpoint", "", description)
    # The miniature has random weights, so its range is not shown.
    if probe.headroom is not None and plan.custom_subject:
        yield probe_row(marks("note"), "float16 headroom", "", _headroom(probe.headroom))
    if probe.headroom is not None and plan.checkpoint:
        yield from _layers(probe.headroom, marks)
    if probe.import_failure is not None:
        yield probe_row(marks("bad"), f"import {probe.import_package}", "error", probe.import_failure.message)
    if probe.load_failure is not None:
        yield probe_row(marks("bad"), "your model", "error", probe.load_failure.message)
    yield from recipes.rows(probe.recipes, plan, marks, detail)
    if probe.adapter is not None and detail != "brief":
        yield _adapter(probe.adapter, marks)
    yield from doors.render(probe.doors, marks, detail)
    yield from _measures(probe, marks)
    yield from _stress(probe.stress, marks)


def _headroom(headroom: Headroom) -> str:
    tightest = headroom.tightest
    return f"{tightest.bits:.1f} bits: |x| up to {tightest.largest:.5g} in {tightest.description}"


def _layers(headroom: Headroom, marks: Marks) -> Iterator[Line]:
    """Yield a row with a bar for each layer: the longer the bar, the closer the layer is to the end of float16."""
    for layer, largest in headroom.layers.items():
        bits = bits_of(largest)
        used_share = 1 - max(0.0, min(bits, _BAR_BITS)) / _BAR_BITS
        bar = "#" * round(_BAR_WIDTH * used_share)
        mark = marks("bad" if bits < 0 else "none")
        yield probe_row(mark, f"  {layer}", f"{bits:.1f} bits", f"{bar:<{_BAR_WIDTH}} |x| up to {largest:.5g}")


def _adapter(adapter: AdapterRun, marks: Marks) -> Line:
    if adapter.error is not None:
        kind, description = "bad", adapter.error.message
    elif adapter.same:
        kind, description = "good", "the reloaded model computes the same logits"
    else:
        kind, description = "bad", "the reloaded model computes other logits"
    return probe_row(marks(kind), "save, reload, generate", "", description)


def _measures(probe: ProbeReport, marks: Marks) -> Iterator[Line]:
    # Without a GPU nothing was measured on one; VC009 says so.
    for measure in () if probe.not_measured else probe.measures:
        yield probe_row(marks(_MARK_OF_STATUS[measure.status]), measure.name, measure.status, measure.description)


def _stress(results: tuple[Stress, ...], marks: Marks) -> Iterator[Line]:
    if not results:
        return
    yield Line(Text())
    title = "Planted outliers of documented size (the same on every machine; they do not affect the verdict)"
    yield Line(Text(f"  {title}", "bold"))
    for result in results:
        bits = f"{result.headroom.tightest.bits:.2f} bits" if result.headroom else ""
        outcomes = ", ".join(f"{outcome.recipe} {outcome.outcome or 'not measured'}" for outcome in result.recipes)
        yield probe_row(marks("note"), result.plant, bits, outcomes)
