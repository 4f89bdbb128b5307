"""The verdict on an examination, and the exit code."""

from __future__ import annotations

from typing import Any

import pytest

from tests.facts import child, examination, probe_run, recipe, step
from vc2doctor import checks
from vc2doctor.checks import verdict
from vc2doctor.checks.context import Examination
from vc2doctor.environment.model import TargetChoice
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.judge import Verdict
from vc2doctor.probe.facts import Headroom, PeakValue, RecipeRun, SelfTestRun


def verdict_and_code(examined: Examination, fail_on: Severity = Severity.ERROR) -> tuple[str, int]:
    findings = checks.run(examined)
    final_verdict = verdict.final_verdict(examined, findings)
    return final_verdict, verdict.exit_code(final_verdict, findings, fail_on)


def probe_with_ending(probe_ending: str, *recipes: Any, **process: Any) -> Examination:  # noqa: ANN401
    return examination(probe=probe_run(*recipes, ending=probe_ending, child=child(**process)))


def test_environment_that_trains_is_fit() -> None:
    assert verdict_and_code(examination(probe=probe_run())) == ("fit", 0)


def test_deciding_recipe_that_fails_makes_it_unfit() -> None:
    failing_probe = probe_run(recipe("bf16", steps=(step(0, None),)))
    assert verdict_and_code(examination(probe=failing_probe)) == ("unfit", 1)


def test_other_recipe_that_fails_does_not_change_the_verdict() -> None:
    assert verdict_and_code(examination(probe=probe_run(recipe("fp16-amp", steps=(step(0, None),))))) == ("fit", 0)


def test_fail_on_warning_ends_with_1_although_it_is_fit() -> None:
    assert verdict_and_code(examination(probe=probe_run()), Severity.WARNING) == ("fit", 1)


@pytest.mark.parametrize(("ending", "process"), [("timeout", {}), ("interrupted", {}), ("exit", {}), ("silent", {})])
def test_unfinished_probe_is_neither_fit_nor_unfit(ending: str, process: dict[str, Any]) -> None:
    assert verdict_and_code(probe_with_ending(ending, **process)) == ("incomplete", 3)


def test_error_before_the_end_of_the_probe_stands() -> None:
    assert verdict_and_code(probe_with_ending("timeout", recipe("bf16", steps=(step(0, None),)))) == ("unfit", 1)


def test_crash_and_lack_of_memory_are_faults_of_the_environment() -> None:
    assert verdict_and_code(probe_with_ending("signal", ending="signal", code=None, signal="SIGSEGV")) == ("unfit", 1)
    assert verdict_and_code(probe_with_ending("out-of-memory", ending="signal", code=None, signal="SIGKILL")) == (
        "unfit",
        1,
    )


def test_kill_from_outside_is_no_fault_of_the_environment() -> None:
    assert verdict_and_code(probe_with_ending("signal", ending="signal", code=None, signal="SIGKILL")) == (
        "incomplete",
        3,
    )


def test_unsupported_deciding_recipe_is_not_called_fit() -> None:
    unsupported = probe_run(recipe("fp16-scaled", steps=(), unsupported="no GradScaler for the CPU"))
    assert verdict_and_code(examination(probe=unsupported, planned={"precision": "fp16-scaled"})) == ("unproven", 3)


def test_weak_deciding_recipe_is_not_called_fit() -> None:
    assert verdict_and_code(examination(probe=probe_run(recipe("bf16", moved=0.01)))) == ("unproven", 3)


INFERRED = {"torch": "2.13.0", "transformers": "4.40.2", "peft": "0.10.0"}


@pytest.mark.parametrize(
    ("known", "accept", "expected"),
    [
        (Verdict.VERIFIED, None, "unproven"),
        (Verdict.VERIFIED, "versions", "fit"),
        (Verdict.VERIFIED, "inferred", "fit"),
        (Verdict.COMPATIBLE, None, "unproven"),
        (Verdict.COMPATIBLE, "versions", "unproven"),
        (Verdict.COMPATIBLE, "inferred", "fit"),
        (Verdict.UNVERIFIED, "inferred", "unproven"),
    ],
)
def test_without_a_probe_only_versions_that_the_user_accepts_are_fit(
    known: Verdict, accept: str | None, expected: str
) -> None:
    examined = examination(INFERRED, planned={"accept": accept})
    assert examined.judgement is not None
    # The property is cached, so this is what the verdict is made of.
    examined.__dict__["judgement"] = examined.judgement.model_copy(update={"verdict": known})
    assert verdict.final_verdict(examined, []) == expected


def test_accepted_versions_do_not_outweigh_a_probe() -> None:
    weak = probe_run(recipe("bf16", moved=0.01))
    assert verdict_and_code(examination(probe=weak, planned={"accept": "inferred"})) == ("unproven", 3)


def test_environment_without_stack_is_unfit() -> None:
    assert verdict_and_code(examination({})) == ("unfit", 1)


def test_missing_gpu_that_is_required_is_unfit() -> None:
    assert verdict_and_code(examination(probe=probe_run(), planned={"require_gpu": True})) == ("unfit", 1)


OWN = TargetChoice(python="/env/bin/python", origin="own", reason="the doctor's own environment", tool="uvx")


def error(id_: str) -> Finding:
    return Finding(id=id_, severity=Severity.ERROR, message="x", evidence=(), remedy="x", url="https://example.org")


def test_environment_that_nobody_chose_is_not_judged_unless_there_is_another_error() -> None:
    own = examination({}, choice=OWN)
    assert verdict.final_verdict(own, [error("VC001")]) == "incomplete"
    assert verdict.final_verdict(own, [error("VC001"), error("VC101")]) == "unfit"
    chosen = examination({}, choice=OWN.model_copy(update={"origin": "VIRTUAL_ENV"}))
    assert verdict.final_verdict(chosen, [error("VC001")]) == "unfit"


def test_measuring_the_range_of_a_checkpoint_is_no_training() -> None:
    headroom = Headroom(tightest=PeakValue(module="layers.0", op="mul", largest=9.0), layers={"layers.0": 9.0})
    only_measured = {"trains": False}
    measured = examination(probe=probe_run(headroom=headroom), planned=only_measured)
    assert verdict.final_verdict(measured, []) == "measured"
    assert verdict.exit_code("measured", [], Severity.ERROR) == 0
    # Training in the same probe, and a verified cell, say nothing about the range.
    assert verdict.final_verdict(examination(probe=probe_run(), planned=only_measured), []) == "unproven"
    assert verdict.final_verdict(examination(planned=only_measured), []) == "unproven"
    assert verdict.final_verdict(measured, [error("VC019")]) == "unfit"


GOOD, POISONED = recipe("self-test"), recipe("self-test", steps=(step(0, 1.0, parameters_finite=False),))


@pytest.mark.parametrize(
    ("faulty", "clean", "expected"),
    [
        (POISONED, GOOD, "fit"),
        (GOOD, GOOD, "incomplete"),
        (POISONED, POISONED, "incomplete"),
        (GOOD, POISONED, "incomplete"),
    ],
)
def test_probe_that_fails_its_self_test_proves_nothing(faulty: RecipeRun, clean: RecipeRun, expected: str) -> None:
    probed = examination(probe=probe_run(self_test=SelfTestRun(fault="a fault", faulty=faulty, clean=clean)))
    assert verdict.final_verdict(probed, []) == expected


def test_errors_of_the_doctor_itself_do_not_make_an_unfinished_examination_unfit() -> None:
    unfinished = probe_with_ending("timeout")
    for id_ in ("VC011", "VC017", "VC024"):
        assert verdict.final_verdict(unfinished, [error(id_)]) == "incomplete"
        assert verdict.final_verdict(unfinished, [error(id_), error("VC010")]) == "unfit"


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"])
def test_signal_that_others_send_leaves_the_examination_incomplete(signal: str) -> None:
    killed = probe_with_ending("signal", ending="signal", code=None, signal=signal)
    assert verdict.final_verdict(killed, []) == "incomplete"


def test_signal_of_a_run_that_finished_does_not_count() -> None:
    # The doctor ends its child with SIGKILL if that does not end by itself.
    finished = probe_with_ending("finished", ending="signal", code=None, signal="SIGKILL")
    assert verdict.final_verdict(finished, []) == "fit"


def test_incompatible_versions_without_a_finding_are_not_called_fit() -> None:
    broken = {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.17.0", "numpy": "2.4.6", "accelerate": "1.15.0"}
    examined = examination(broken)
    assert examined.judgement is not None
    assert examined.judgement.verdict is Verdict.INCOMPATIBLE
    assert verdict.final_verdict(examined, []) == "unproven"


@pytest.mark.parametrize(
    ("planned", "expected"),
    [({}, "fit"), ({"doors": ("trainer",)}, "unproven"), ({"variants": ("compiled",)}, "unproven")],
)
def test_fit_needs_every_door_and_every_variant_that_was_asked_for(planned: dict[str, Any], expected: str) -> None:
    assert verdict.final_verdict(examination(probe=probe_run(), planned=planned), []) == expected
