"""Which dtype is the better choice for reinforcement learning: pure functions over measured log-ratios."""

from __future__ import annotations

import pytest

from tests.checks import findings_of
from tests.facts import examination, probe_run
from tests.probe.test_events import START, read
from vc2doctor.checks import vc027_log_ratio as check
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.facts import Headroom, PeakValue
from vc2doctor.probe.log_ratio import LogRatio, LogRatios

CHECKPOINT = {"checkpoint": "/models/mine", "trains": False}


def pair(trainer: str, rollout: str, outside: float) -> LogRatio:
    facts = {"tokens": 3916, "mean": 0.0, "mean_size": 0.05, "largest": 0.5}
    return LogRatio.model_validate({"trainer": trainer, "rollout": rollout, "outside": outside, **facts})


def ratios(bfloat16: float, float16: float, float32: float, *, from_float32: float = 0.0) -> LogRatios:
    """Return log-ratios with these shares outside of the band where trainer and rollout have the same dtype."""
    pairs = (
        *(pair("bfloat16", "bfloat16", bfloat16), pair("float16", "float16", float16)),
        *(pair("float32", "float32", float32), pair("float32", "bfloat16", from_float32)),
        pair("float32", "float16", 0.0),
    )
    return LogRatios(pairs=pairs)


def findings(measured: LogRatios, precision: str = "bf16", largest: float = 8.0) -> list[Finding]:
    headroom = Headroom(tightest=PeakValue(module="layers.11", op="add", largest=largest), layers={})
    probe = probe_run(recipes=(), adapter=None, headroom=headroom, log_ratios=measured)
    return findings_of(check, examination(probe=probe, planned={"precision": precision, **CHECKPOINT}))


@pytest.mark.parametrize(
    ("shares", "better"),
    [
        # https://github.com/verl-project/verl/issues/6280, measured on GPUs: Qwen2.5-1.5B, Qwen2.5-0.5B, pythia-160m.
        ((0.0937, 0.0, 0.0), "float16"),
        ((0.0987, 0.0007, 0.0), "float16"),
        ((0.6003, 0.2202, 0.0), "float16"),
        ((0.08, 0.06, 0.0), "float32"),
        ((0.08, 0.06, 0.05), None),
        ((0.009, 0.0, 0.0), None),
        # At the limits: 1 % of the tokens, and 2.5 times fewer.
        ((0.01, 0.0, 0.0), "float16"),
        ((0.05, 0.02, 0.02), "float16"),
    ],
)
def test_the_better_dtype_is_named_if_it_is_clearly_better(shares: tuple[float, ...], better: str | None) -> None:
    assert ratios(*shares).better_than_bfloat16(allow_float16=True) == better


def test_a_device_that_gives_the_same_bits_for_any_batch_is_judged_by_its_distance_to_float32() -> None:
    # https://github.com/huggingface/trl/issues/6789: a bfloat16 rollout against a float32 trainer has 3.7 % outside.
    measured = ratios(0.0, 0.0, 0.0, from_float32=0.037)
    assert measured.noise("bfloat16") == 0.037
    assert measured.better_than_bfloat16(allow_float16=True) == "float16"


def test_a_dtype_of_which_one_pair_was_not_measured_or_is_not_finite_is_neither_judged_nor_recommended() -> None:
    all_pairs = ratios(0.08, 0.0, 0.0).pairs
    without_float32 = LogRatios(pairs=tuple(each for each in all_pairs if each.trainer != "float32"))
    assert (without_float32.noise("bfloat16"), without_float32.noise("float32")) == (None, None)
    assert without_float32.better_than_bfloat16(allow_float16=True) is None
    not_finite = pair("float16", "float16", 0.0).model_copy(update={"largest": None})
    pairs = tuple(not_finite if each.trainer == "float16" else each for each in all_pairs)
    assert LogRatios(pairs=pairs).better_than_bfloat16(allow_float16=True) == "float32"


def test_the_finding_says_which_dtype_and_what_it_changes() -> None:
    (finding,) = findings(ratios(0.08, 0.0, 0.0))
    assert finding.severity is Severity.WARNING
    assert finding.message == (
        "for reinforcement learning, float16 is the better choice: rounding in bfloat16 moves the ratio of 8.0% of the"
        " tokens out of [0.9, 1.1] before any update, in float16 0.0%"
    )
    assert "--precision fp16-scaled" in finding.commands[0]
    assert [each.severity for each in findings(ratios(0.08, 0.0, 0.0), "fp32")] == [Severity.NOTE]


def test_a_model_that_float16_cannot_hold_is_advised_float32() -> None:
    (enough,) = findings(ratios(0.08, 0.0, 0.0), largest=20000.0)
    assert "float16 is the better choice" in enough.message
    (finding,) = findings(ratios(0.08, 0.0, 0.0), largest=40000.0)
    assert "float32 is the better choice" in finding.message
    assert any("float16 is left out" in line for line in finding.evidence)


def test_the_miniature_is_not_judged_because_its_weights_are_random() -> None:
    probe = probe_run(log_ratios=ratios(0.5, 0.0, 0.0))
    assert findings_of(check, examination(probe=probe)) == []


def test_events_become_pairs_and_failures() -> None:
    event = {"event": "log-ratio", **pair("bfloat16", "float32", 0.5).model_dump()}
    error = {"type": "RuntimeError", "message": "not implemented for 'Half'"}
    run = read(START, event, {"event": "log-ratio-failed", "dtype": "float16", "error": error}, {**event, "outside": 2})
    assert run.log_ratios is not None
    assert [each.outside for each in run.log_ratios.pairs] == [0.5]
    assert list(run.log_ratios.failures) == ["float16"]
    assert run.malformed_events == 1
