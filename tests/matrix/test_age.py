"""The dates of a matrix, releases that nobody measured, and what a verdict does not cover."""

from __future__ import annotations

from tests.facts import SHIPPED, cell, matrix
from vc2doctor.curate.compile import compile_matrix
from vc2doctor.matrix.age import MatrixAge, age_of
from vc2doctor.matrix.coverage import NotJudged, not_judged
from vc2doctor.matrix.judge import Combination, Judgement, Verdict, judge
from vc2doctor.matrix.releases import Release, Wheels

CELLS = (cell("2.5.0", "4.44.0", "0.12.0"), cell("2.4.0", "4.43.0", "0.11.0", date="2026-11-20"))
KNOWLEDGE = matrix(*CELLS)


def judged(python: str | None = "3.11", **versions: str) -> Judgement:
    named = {"torch": "2.5.0", "transformers": "4.44.0", "peft": "0.12.0", **versions}
    return judge(Combination(python=python, versions=named, installed=False), KNOWLEDGE, "bf16")


def test_the_matrix_tells_the_day_of_its_newest_measurement_and_of_its_releases() -> None:
    wheels = Wheels(
        date="2026-12-01",
        releases={"peft": {"0.12.0": Release(date="2026-01-01"), "0.13.0": Release(date="2026-11-30")}},
        required=(),
        provided=(),
    )
    verdicts = compile_matrix(CELLS, (), wheels)
    assert (verdicts.measured, verdicts.released) == ("2026-11-24", "2026-12-01")
    assert verdicts.unseen_releases == {"peft": ("0.13.0",)}
    age = age_of({"peft": "0.13.0"}, KNOWLEDGE.model_copy(update={"verdicts": verdicts}))
    assert age.sentence == "measured up to 2026-11-24, releases known up to 2026-12-01"
    assert age.warning == (
        "The matrix is older than peft 0.13.0, or there is no such release."
        " Check the version, or use a newer vc2doctor."
    )


def test_a_matrix_without_measurements_says_so() -> None:
    assert age_of({}, matrix()).sentence == "without a measurement"
    assert MatrixAge(measured="2026-11-24", released="").sentence == "measured up to 2026-11-24"


def test_releases_that_the_matrix_does_not_know_are_newer_than_it() -> None:
    versions = {"torch": "99.0", "transformers": "4.44.99", "peft": "0.12", "nonsense": "1.0"}
    assert age_of(versions, SHIPPED).newer == {"torch": "99.0", "transformers": "4.44.99"}
    # The lists begin with the oldest supported release, and pre-releases are not on them.
    assert age_of({"torch": "1.0", "transformers": "5.0.0rc1", "peft": "0.21.2+local"}, SHIPPED).newer == {}


def test_a_release_newer_than_measured_is_unverified_with_the_verdict_on_its_neighbor() -> None:
    judgement = judged(transformers="4.45.0")
    assert judgement.verdict is Verdict.UNVERIFIED
    assert judgement.reason == (
        "newer than measured: transformers 4.45.0 (measured: 4.43.0 to 4.44.0); "
        "with transformers 4.44.0, the newest measured, the verdict is verified"
    )


def test_a_newer_patch_release_is_newer_than_measured_except_of_torch() -> None:
    assert judged(peft="0.12.1").reason.startswith("newer than measured: peft 0.12.1")
    assert judged(torch="2.5.1").verdict is Verdict.COMPATIBLE


def test_all_releases_that_are_newer_than_measured_take_part_in_the_neighbor() -> None:
    reason = judged(torch="2.6.0", peft="0.13.0").reason
    assert "; with torch 2.5.0 and peft 0.12.0, the newest measured, the verdict is verified" in reason


def test_a_python_that_nobody_measured_is_unverified() -> None:
    assert judged("3.14").reason == (
        "newer than measured: Python 3.14 (measured: 3.11 to 3.11); "
        "with Python 3.11, the newest measured, the verdict is verified"
    )
    assert judged("2.7").reason == "older than measured: Python 2.7 (measured: 3.11 to 3.11)"
    assert judged(None).verdict is Verdict.VERIFIED


def test_imported_packages_that_the_matrix_does_not_model_are_named_and_the_others_counted() -> None:
    installed = {"torch": "2.5.0", "numpy": "2.4.6", "xformers": "0.0.29", "tqdm": "4.67", "black": "25.1"}
    assert not_judged(installed, {"xformers", "tqdm", "numpy", "absent"}, SHIPPED, common={"tqdm"}) == NotJudged(
        imported={"xformers": "0.0.29"}, common={"tqdm": "4.67"}, others=("black",)
    )


def test_the_modeled_packages_are_the_stack_its_companions_and_what_issues_name() -> None:
    assert SHIPPED.modeled_packages >= {"torch", "transformers", "peft", "numpy", "trl", "bitsandbytes", "torchvision"}
    assert not SHIPPED.modeled_packages & {"python", "gpu", "nonsense"}
