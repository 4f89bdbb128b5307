"""Reports with everything that the page can show, and a hostile one; the tests in a real browser use them as well."""

from __future__ import annotations

from tests.facts import (
    MISSING_SYMBOL,
    distribution,
    environment,
    examination,
    failed,
    failure,
    gpu,
    probe_run,
    recipe,
    step,
)
from vc2doctor.commands.examine import report_on
from vc2doctor.commands.report import Report
from vc2doctor.core.data import with_texts
from vc2doctor.environment.model import Nvidia
from vc2doctor.findings import Finding
from vc2doctor.matrix.stack_map import StackMap
from vc2doctor.matrix.table import Row, Table, TableCell
from vc2doctor.probe.facts import DoorRun, Gradients, Headroom, PeakValue, RecipeRun, Step
from vc2doctor.probe.gradient_range import GradientRange

HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\"'>{{ 7 * 7 }}{% raw %}</style></p><!--"
    " ]]> &amp; \u202egnp.exe\u2066 \x1b[31m \x00 &#x3c;b&#x3e;"
)
"""Markup, ends of elements and comments, expressions of templates, entities, and characters that turn text around."""


def gradients(norm: float | None) -> Gradients:
    return Gradients(tensors=10, missing=0, non_finite=0 if norm is not None else 3, zero=0, norm=norm)


def course(*losses: float | None, skipped: int = 0) -> tuple[Step, ...]:
    """Return steps on two batches with these losses; the optimizer skips the first ones, as loss scaling does."""
    return tuple(
        step(
            number,
            loss,
            batch=number % 2,
            taken=number >= skipped,
            scale=65536.0 / 2**number if skipped else None,
            gradients=gradients(None if loss is None or number < skipped else 10.0 / (number + 1)),
        )
        for number, loss in enumerate(losses)
    )


def trained(name: str, skipped: int = 0) -> RecipeRun:
    return recipe(name, steps=course(4.5, 4.7, 4.4, 4.6, 4.3, 4.5, 4.2, 4.4, skipped=skipped))


def stack_map() -> StackMap:
    kinds = (("trains", "trains", "unknown"), ("trains", "fails", "fails"))
    rows = tuple(
        Row(
            first=f"{4 - index}.0.0",
            last=f"{4 - index}.57.6",
            entries=tuple(TableCell(kind=kind, measured=number) for number, kind in enumerate(row)),
        )
        for index, row in enumerate(kinds)
    )
    columns = (("0.10.0", "0.10.0"), ("0.11.0", "0.13.2"), ("0.14.0", "0.21.2"))
    table = Table(torch="2.13.0", recipe="bf16", columns=columns, rows=rows)
    return StackMap(table=table, transformers="4.40.1", peft="0.13.0", row=0, column=1)


def fit() -> Report:
    doors = (
        DoorRun(door="trainer", trains=True, finished=True, phase="step", losses=(4.5, 4.4), moved=1.0),
        DoorRun(door="dpo", trains=False, finished=True),
    )
    probe = probe_run(*map(trained, ("fp32", "bf16", "bf16-amp")), trained("fp16-amp", skipped=2), doors=doors)
    nvidia = Nvidia(driver="580.95.05", cuda=(13, 0), gpus=(gpu("NVIDIA H200", (9, 0)),))
    report = report_on(examination(probe=probe, nvidia=nvidia), 12.5)
    return report.model_copy(update={"stack_map": stack_map()})


def unfit() -> Report:
    versions = {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.17.0", "numpy": "2.4.6", "accelerate": "0.34.2"}
    probe = probe_run(recipes=(), adapter=None, import_package="peft", import_failure=MISSING_SYMBOL)
    return report_on(examination(versions, probe=probe), 3.0)


def lost() -> Report:
    """Return a report on a loss that is NaN at once, and on one that explodes first."""
    broken = recipe("fp16-amp", steps=course(None, None, None))
    exploding = recipe("fp16-scaled", steps=course(4.5, 90.0, 4000.0, None))
    probe = probe_run(trained("fp32"), broken, exploding, failed("bf16-in-fp16-autocast", failure("no such kernel")))
    return report_on(examination(probe=probe, planned={"precision": "fp16-amp"}), 5.0)


def measured() -> Report:
    """Return a report on the range of a checkpoint, forward and backward."""
    layers = {f"model.layers.{number}": 8.0 * 4**number for number in range(8)}
    headroom = Headroom(
        tightest=PeakValue(module="model.layers.7", op="add", largest=layers["model.layers.7"]), layers=layers
    )
    backward = GradientRange(
        tokens=64,
        largest=3.0,
        module="model.norm",
        layers={"model.layers.0": 3.0, "model.layers.1": 0.5, "lm_head": 1e-7},
        exponents={-50: 1, -20: 3},
    )
    probe = probe_run(trained("fp32"), trained("fp16-amp"), headroom=headroom, gradients=backward)
    return report_on(examination(probe=probe, planned={"precision": "fp16-amp", "checkpoint": "/models/mine"}), 60.0)


def on_paper() -> Report:
    return report_on(examination(), 0.2)


def hostile() -> Report:
    """Return a report in which every text that comes from a target, a project or a name of a package is hostile."""
    report = measured()
    assert report.probe is not None
    recipes = tuple(each.model_copy(update={"description": HOSTILE}) for each in report.probe.recipes)
    headroom = with_texts(report.probe.headroom, lambda _: HOSTILE) if report.probe.headroom else None
    probe = report.probe.model_copy(
        update={"recipes": recipes, "headroom": headroom, "stage": HOSTILE, "not_tried": (HOSTILE,), "ending": "exit"}
    )
    named = distribution(HOSTILE, HOSTILE)
    facts = environment(distributions=(*report.environment.distributions, named))
    not_judged = report.not_judged.model_copy(update={"imported": {HOSTILE: HOSTILE}, "others": (HOSTILE,)})
    return report.model_copy(
        update={
            "probe": probe,
            "environment": facts,
            "judged_as": HOSTILE,
            "not_judged": not_judged,
            "stack_map": stack_map().model_copy(update={"transformers": HOSTILE, "row": None}),
            "findings": tuple(map(hostile_finding, report.findings)),
        }
    )


def hostile_finding(finding: Finding) -> Finding:
    changed = with_texts(finding, lambda _: HOSTILE)
    link = "javascript:window.hacked=1" if finding.severity.rank else f"https://example.org/{HOSTILE}"
    return changed.model_copy(update={"id": finding.id, "url": link, "packages": (HOSTILE,), "commands": (HOSTILE,)})


REPORTS = {
    "fit": fit,
    "unfit": unfit,
    "lost": lost,
    "measured": measured,
    "on-paper": on_paper,
    "hostile": hostile,
}
"""By name: functions that make a report."""
