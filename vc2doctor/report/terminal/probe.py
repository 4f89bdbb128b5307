"""The probe's part of the report for people."""

from collections.abc import Iterator

from vc2doctor.checks.plan import Plan
from vc2doctor.commands.report import ProbeReport
from vc2doctor.probe.facts import AdapterRun, Headroom
from vc2doctor.probe.gradient_range import DEFAULT_SCALE, GradientRange
from vc2doctor.probe.outcome import Stress
from vc2doctor.probe.scaled_formats import SCALES, ScaledWeights
from vc2doctor.report.ranges import bars
from vc2doctor.report.terminal import doors, log_ratios, recipes, variants
from vc2doctor.report.terminal.lines import Line, Marks, probe_row
from vc2doctor.report.terminal.recipes import Detail
from vc2doctor.report.terminal.styled import Text

_MARK_OF_STATUS = {"measured": "note", "unsupported": "none", "failed": "bad"}
_BAR_WIDTH = 20


def render(probe: ProbeReport, plan: Plan, marks: Marks, detail: Detail = "normal") -> Iterator[Line]:
    """Yield the lines about the probe."""
    device = f" on {probe.device.name or probe.device.device}" if probe.device else ""
    attention = probe.inspection.attention if probe.inspection else None
    code = f", attention {attention}" if attention is not None else ""
    yield Line(Text(f"  Probe{device}: {probe.ending}, {probe.seconds:.1f} s{code}", "bold"))
    if probe.loaded is not None:
        loaded = probe.loaded
        description = f"{loaded.architecture}, {loaded.parameters / 1e6:.4g} million weights, in {loaded.dtype}"
        yield probe_row(marks("note"), "checkpoint", "", description)
    yield from _ranges(probe, plan, marks)
    if probe.import_failure is not None:
        yield probe_row(marks("bad"), f"import {probe.import_package}", "error", probe.import_failure.message)
    if probe.load_failure is not None:
        yield probe_row(marks("bad"), "your model", "error", probe.load_failure.message)
    yield from recipes.rows(probe.recipes, plan, marks, detail)
    yield from variants.rows(probe.variants, plan, marks)
    if probe.adapter is not None and detail != "brief":
        yield _adapter(probe.adapter, marks)
    yield from doors.render(probe.doors, marks, detail, probe.not_tried)
    yield from _measures(probe, marks)
    yield from _stress(probe.stress, marks)


def _ranges(probe: ProbeReport, plan: Plan, marks: Marks) -> Iterator[Line]:
    """Yield what was measured beside training: ranges of values, and how they agree in other dtypes."""
    # The miniature has random weights, so its range is not shown.
    if probe.headroom is not None and plan.custom_subject:
        yield probe_row(marks("note"), "float16 headroom", "", headroom_in_words(probe.headroom))
    if probe.gradients is not None:
        yield probe_row(marks("note"), "float16 gradients", "", gradients_in_words(probe.gradients))
    elif probe.gradients_unmeasured is not None:
        yield probe_row(marks("none"), "float16 gradients", "not measured", probe.gradients_unmeasured)
    if probe.log_ratios is not None:
        yield from log_ratios.rows(probe.log_ratios, marks, is_own=plan.checkpoint is not None)
    if probe.scaled is not None:
        yield from _scaled(probe.scaled, marks)
    if probe.headroom is not None and plan.checkpoint:
        yield from _layers(probe.headroom, marks)


def headroom_in_words(headroom: Headroom) -> str:
    """Return how near the largest activation is to the end of float16, and where it is computed."""
    tightest = headroom.tightest
    return f"{tightest.bits:.1f} bits: |x| up to {tightest.largest:.5g} in {tightest.description}"


def gradients_in_words(gradients: GradientRange) -> str:
    """Return what loss scaling makes of the gradients in float16."""
    scale = gradients.settled_scale
    skipped = f", reached after {gradients.skipped} skipped steps" if gradients.skipped else ""
    return (
        f"{gradients.bits(DEFAULT_SCALE):.1f} bits at a loss scale of {DEFAULT_SCALE:g}: |g| up to"
        f" {gradients.largest:.3g} at {gradients.module}; at {scale:g}{skipped}, {gradients.vanished(scale):.1%} of the"
        f" gradients round to 0 (one row of {gradients.tokens} tokens)"
    )


def _scaled(scaled: ScaledWeights, marks: Marks) -> Iterator[Line]:
    """Yield a row for each format: what it makes of the weights. The activations and gradients are not part of it."""
    for form in scaled.formats:
        counts = f"{form.values / 1e6:.3g} of {scaled.values / 1e6:.4g} million weights"
        part = counts if form.values < scaled.values else "all weights"
        description = (
            f"{SCALES[form.format]}: {form.flushed:.2%} of the weights become 0, relative error {form.error:.1%}"
            f" (at most {form.worst_error:.1%}, in {form.worst_tensor}); emulated, {part}"
        )
        yield probe_row(marks("note"), f"{form.format} weights", "", description)


def _layers(headroom: Headroom, marks: Marks) -> Iterator[Line]:
    """Yield a row with a bar for each layer: the longer the bar, the closer the layer is to the end of float16."""
    for bar in bars(headroom.layers):
        drawn = "#" * round(_BAR_WIDTH * bar.share)
        mark = marks("bad" if bar.bits < 0 else "none")
        description = f"{drawn:<{_BAR_WIDTH}} |x| up to {bar.largest:.5g}"
        yield probe_row(mark, f"  {bar.layer}", f"{bar.bits:.1f} bits", description)


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
