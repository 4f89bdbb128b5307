"""A checkpoint that cannot be loaded."""

from __future__ import annotations

from tests.checks import found_by
from tests.facts import examination, failure, probe_run
from vc2doctor import checks
from vc2doctor.checks import vc018_checkpoint as check
from vc2doctor.checks import verdict
from vc2doctor.findings import Severity
from vc2doctor.probe.facts import LoadedModel, NonFiniteTensor, Operation

PLANNED = {"checkpoint": "/models/mine", "trains": False}


def test_what_was_raised_is_the_evidence() -> None:
    probe = probe_run(recipes=(), adapter=None, load_failure=failure("it needs 60.1 GiB", type="MemoryError"))
    made = examination(probe=probe, planned=PLANNED)
    (finding,) = found_by(check, made)
    assert (finding.severity, finding.message) == (Severity.ERROR, "/models/mine cannot be loaded")
    assert "it needs 60.1 GiB" in finding.evidence[0]
    assert verdict.verdict(made, checks.run(made)) == "unfit"


def test_a_forward_pass_that_fails_is_told_where_nothing_is_trained() -> None:
    probe = probe_run(recipes=(), adapter=None, headroom_failure=failure("index out of range"))
    (finding,) = found_by(check, examination(probe=probe, planned=PLANNED))
    assert finding.message == "/models/mine was loaded, and its range cannot be measured"
    assert "index out of range" in finding.evidence[0]
    assert found_by(check, examination(probe=probe, planned={**PLANNED, "trains": True})) == []


def loaded(**fields: object) -> LoadedModel:
    told = {"architecture": "Llama", "parameters": 10, "dtype": "float32", "seconds": 1.0}
    return LoadedModel.model_validate({**told, **fields})


def test_values_that_are_not_finite_are_an_error_whether_it_trains_or_not() -> None:
    bad = NonFiniteTensor(tensor="lm_head.weight", values=3, of=64)
    probe = probe_run(loaded=loaded(non_finite=(bad,), non_finite_tensors=2))
    for trains in (True, False):
        (finding,) = found_by(check, examination(probe=probe, planned={**PLANNED, "trains": trains}))
        assert finding.message == "/models/mine holds NaN or infinity in 2 tensors"
        assert finding.evidence == ("lm_head.weight: 3 of 64 values", "and 1 more tensors")


def test_a_forward_pass_that_is_not_finite_in_float32_is_an_error() -> None:
    probe = probe_run(recipes=(), adapter=None, loaded=loaded(), range_broken=Operation(module="lm_head", op="mm"))
    made = examination(probe=probe, planned=PLANNED)
    (finding,) = found_by(check, made)
    assert finding.evidence == ("the first result that is not finite is that of lm_head (mm)",)
    assert verdict.verdict(made, checks.run(made)) == "unfit"


def test_nothing_to_load_nothing_found() -> None:
    assert found_by(check, examination(probe=probe_run())) == []
    assert found_by(check, examination()) == []
