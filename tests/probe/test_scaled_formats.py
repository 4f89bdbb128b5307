"""The event about weights in FP8 and smaller formats, and what the report says of it."""

from __future__ import annotations

from typing import Any

from tests.facts import child, plan, probe_run
from vc2doctor.commands.examine import _probe_report
from vc2doctor.probe.events import EventReader
from vc2doctor.report.terminal import probe
from vc2doctor.report.terminal.lines import Marks, plain

FORM = {
    "format": "nvfp4",
    "values": 4_000_000,
    "flushed": 0.0739,
    "error": 0.095,
    "worst_error": 0.096,
    "worst_tensor": "model.layers.15.self_attn.o_proj.weight",
}


def read(**changes: Any) -> Any:  # noqa: ANN401 - facts, or none
    reader = EventReader()
    reader.take({"event": "scaled", "values": 134_000_000, "formats": [{**FORM, **changes}]})
    return reader.run(child())


def test_the_event_becomes_facts() -> None:
    run = read()
    assert run.malformed_events == 0
    assert run.scaled is not None
    assert run.scaled.formats[0].flushed == FORM["flushed"]


def test_a_share_above_one_or_an_unknown_format_is_malformed() -> None:
    for changes in ({"flushed": 1.5}, {"format": "fp3"}, {"error": float("nan")}):
        run = read(**changes)
        assert (run.malformed_events, run.scaled) == (1, None)


def test_the_report_says_what_becomes_0_how_large_the_error_is_and_that_it_is_emulated() -> None:
    report = _probe_report(probe_run(scaled=read().scaled))
    lines = list(map(plain, probe.render(report, plan(checkpoint="/model"), Marks(ascii_only=True))))
    (line,) = (each for each in lines if "nvfp4 weights" in each)
    assert "7.39% of the weights become 0, relative error 9.5% (at most 9.6%, in model.layers.15" in line
    assert "emulated, 4 of 134 million weights" in line
