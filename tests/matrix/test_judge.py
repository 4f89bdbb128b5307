"""Verdicts on combinations, on small matrices and on the shipped one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from tests.facts import SHIPPED, cell, matrix
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.judge import Combination, Judgement, Verdict, judge, judge_loop
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.target.shared.recipes import RECIPES

COMPANIONS = {"numpy": "2.4.6", "accelerate": "1.15.0"}
IMPORT_FAILS = {
    "recipes": {},
    "adapter": "not reached",
    "import_failure": {
        "type": "ImportError",
        "message": "cannot import name 'X' from 'transformers'",
        "package": "peft",
        "missing": {"module": "transformers", "symbol": "X"},
    },
}


def combination(torch: str, transformers: str, peft: str, python: str = "3.11", **others: str) -> Combination:
    versions = {"torch": torch, "transformers": transformers, "peft": peft, **COMPANIONS, **others}
    return Combination(python=python, versions=versions)


def verdict(knowledge: Matrix, *versions: str, recipe: str = "bf16", **others: str) -> Verdict:
    return judge(combination(*versions, **others), knowledge, recipe).verdict


LINES = (
    cell("2.13.0", "4.40.1", "0.10.0"),
    cell("2.13.0", "4.48.3", "0.10.0"),
    cell("2.13.0", "4.36.2", "0.17.0", **IMPORT_FAILS),
)
MATRIX = matrix(*LINES)


def test_a_measured_cell_that_trains_is_verified() -> None:
    assert verdict(MATRIX, "2.13.0", "4.40.1", "0.10.0") is Verdict.VERIFIED


def test_the_local_part_of_a_version_does_not_count() -> None:
    assert verdict(MATRIX, "2.13.0+cu130", "4.40.1", "0.10.0") is Verdict.VERIFIED


def test_a_measured_cell_that_fails_is_incompatible_and_the_reason_quotes_its_failure() -> None:
    judgement = judge(combination("2.13.0", "4.36.2", "0.17.0"), MATRIX, "bf16")
    assert judgement.verdict is Verdict.INCOMPATIBLE
    assert "cannot import name 'X' from 'transformers'" in judgement.reason


@pytest.mark.parametrize(("python", "numpy"), [("3.12", "2.4.6"), ("3.11", "1.26.4")])
def test_a_measured_stack_under_another_python_or_numpy_is_compatible(python: str, numpy: str) -> None:
    other = {"python": "3.12", "torch": "2.13.0", "transformers": "4.48.3", "peft": "0.10.0"}
    knowledge = matrix(*LINES, cell("2.13.0", "4.48.3", "0.10.0", cell=other))
    judgement = judge(combination("2.13.0", "4.40.1", "0.10.0", python, numpy=numpy), knowledge, "bf16")
    assert judgement.verdict is Verdict.COMPATIBLE
    assert "only these versions differ" in judgement.reason


def test_a_failure_between_two_packages_of_the_stack_also_holds_under_another_python() -> None:
    assert verdict(MATRIX, "2.13.0", "4.36.2", "0.17.0", python="3.12") is Verdict.INCOMPATIBLE


def test_a_failure_of_another_package_does_not_hold_for_other_versions_of_it() -> None:
    failure = {**IMPORT_FAILS["import_failure"], "missing": {"module": "numpy", "symbol": "X"}}  # type: ignore[dict-item]
    knowledge = matrix(cell("2.13.0", "4.36.2", "0.17.0", **{**IMPORT_FAILS, "import_failure": failure}))
    assert verdict(knowledge, "2.13.0", "4.36.2", "0.17.0", numpy="1.26.4") is Verdict.UNVERIFIED


def test_a_patch_release_of_a_measured_release_is_compatible() -> None:
    assert verdict(MATRIX, "2.13.0", "4.40.2", "0.10.0") is Verdict.COMPATIBLE
    assert verdict(MATRIX, "2.13.1", "4.40.1", "0.10.0") is Verdict.COMPATIBLE
    assert verdict(MATRIX, "2.13.0.post1", "4.40.1", "0.10.0") is Verdict.COMPATIBLE


def test_a_release_between_two_that_train_is_compatible() -> None:
    assert verdict(MATRIX, "2.13.0", "4.44.2", "0.10.0") is Verdict.COMPATIBLE


def test_a_release_between_a_failure_and_a_success_is_unverified() -> None:
    knowledge = matrix(*LINES, cell("2.13.0", "4.45.0", "0.10.0", **IMPORT_FAILS))
    assert verdict(knowledge, "2.13.0", "4.44.2", "0.10.0") is Verdict.UNVERIFIED


def test_a_release_beyond_a_failure_is_unverified() -> None:
    knowledge = matrix(cell("2.13.0", "4.40.1", "0.10.0"), cell("2.13.0", "4.40.2", "0.10.0", **IMPORT_FAILS))
    assert verdict(knowledge, "2.13.0", "4.40.3", "0.10.0") is Verdict.UNVERIFIED


@pytest.mark.parametrize(
    "versions",
    [
        ("2.14.0", "4.40.1", "0.10.0"),
        ("2.13.0", "5.0.0", "0.10.0"),
        ("2.13.0", "4.40.1", "0.21.2"),
        ("2.14.0.dev20261101+cu130", "4.40.1", "0.10.0"),
        ("2.13.0a0+07cecf4168.nv24.05", "4.40.1", "0.10.0"),
        ("2.13.0", "4.45.0.dev0", "0.10.0"),
    ],
)
def test_releases_outside_the_measured_ones_and_pre_releases_are_unverified(versions: tuple[str, str, str]) -> None:
    judgement = judge(combination(*versions), MATRIX, "bf16")
    assert judgement.verdict is Verdict.UNVERIFIED
    assert judgement.uncertainty


def test_without_evidence_everything_is_unverified() -> None:
    judgement = judge(combination("2.13.0", "5.0.0", "0.1"), matrix(), "bf16")
    assert (judgement.verdict, judgement.reason) == (Verdict.UNVERIFIED, "The matrix holds no measurement")


def test_a_recipe_that_the_device_could_not_run_is_unverified() -> None:
    line = cell("2.13.0", "4.40.1", "0.10.0", recipes={"fp32": "finite", "bf16": "finite", "fp16-amp": "unsupported"})
    assert verdict(matrix(line), "2.13.0", "4.40.1", "0.10.0") is Verdict.VERIFIED
    assert verdict(matrix(line), "2.13.0", "4.40.1", "0.10.0", recipe="fp16-amp") is Verdict.UNVERIFIED


def test_a_bad_outcome_decides_only_about_its_own_recipe() -> None:
    line = cell("2.13.0", "4.40.1", "0.10.0", recipes={"fp32": "finite", "bf16": "finite", "fp16-unscaled": "poisoned"})
    assert verdict(matrix(line), "2.13.0", "4.40.1", "0.10.0") is Verdict.VERIFIED
    assert verdict(matrix(line), "2.13.0", "4.40.1", "0.10.0", recipe="fp16-unscaled") is Verdict.INCOMPATIBLE


def test_an_adapter_that_cannot_be_reloaded_is_incompatible() -> None:
    line = cell("2.13.0", "4.40.1", "0.10.0", adapter="error")
    assert verdict(matrix(line), "2.13.0", "4.40.1", "0.10.0") is Verdict.INCOMPATIBLE


def known_issue(when: dict[str, str], *, probe_sees: bool = True) -> KnownIssue:
    return KnownIssue(
        id="x",
        title="a defect",
        severity="error",
        explanation="x",
        symptom="x",
        probe_sees=probe_sees,
        when=(when,),
        fix=(("peft>1",),),
        sources=("https://example.org",),
        evidence="x",
    )


@pytest.mark.parametrize(("probe_sees", "expected"), [(False, Verdict.INCOMPATIBLE), (True, Verdict.VERIFIED)])
def test_known_issue_the_probe_cannot_see_outweighs_a_verified_cell(*, probe_sees: bool, expected: Verdict) -> None:
    issue = known_issue({"peft": "==0.10.0"}, probe_sees=probe_sees)
    knowledge = MATRIX.model_copy(update={"issues": (issue,)})
    judgement = judge(combination("2.13.0", "4.40.1", "0.10.0"), knowledge, "bf16")
    assert judgement.verdict is expected
    assert ("a defect" in judgement.reason) is (expected is Verdict.INCOMPATIBLE)


class TestKnownIssues:
    """Known issues of the shipped matrix, with the versions that the public reports name."""

    def ids(self, recipe: str = "bf16", **versions: str) -> set[str]:
        installed = {name.replace("_", "-"): version for name, version in versions.items()}
        return {issue.id for issue in SHIPPED.issues if issue.applies_to(installed) and issue.blocks(recipe)}

    def test_peft_from_0_14_needs_encoder_decoder_cache(self) -> None:
        assert "peft-encoderdecodercache" in self.ids(peft="0.14.0", transformers="4.39.3")
        assert "peft-encoderdecodercache" in self.ids(peft="0.14.0", transformers="4.42.4")
        assert "peft-encoderdecodercache" not in self.ids(peft="0.14.0", transformers="4.46.3")
        assert "peft-encoderdecodercache" not in self.ids(peft="0.13.2", transformers="4.39.3")

    def test_peft_0_16_and_0_17_need_hybrid_cache(self) -> None:
        assert "peft-hybridcache" in self.ids(peft="0.17.1", transformers="5.0.0")
        assert "peft-hybridcache" in self.ids(peft="0.17.0", transformers="4.36.2")
        assert self.ids(peft="0.19.1", transformers="5.9.0") == set()
        assert self.ids(peft="0.17.0", transformers="4.57.6") == set()

    def test_half_adapters_affect_float16_only(self) -> None:
        assert "peft-half-adapters" in self.ids("fp16-scaled", peft="0.10.0")
        assert "peft-half-adapters" in self.ids("fp16-unscaled", peft="0.11.1")
        assert "peft-half-adapters" not in self.ids("bf16", peft="0.10.0")
        assert "peft-half-adapters" not in self.ids("fp16-scaled", peft="0.12.0")
        assert "peft-half-adapters" not in self.ids("fp16-scaled", peft="0.6.2")

    def test_versions_with_a_local_part_match(self) -> None:
        assert "torch-numpy-2" in self.ids(torch="2.2.2+cpu", numpy="2.0.0")
        assert "torch-numpy-2" not in self.ids(torch="2.3.0+cu121", numpy="2.0.0")

    def test_an_issue_of_a_package_that_is_not_installed_does_not_apply(self) -> None:
        assert "deepspeed-elastic-log" not in self.ids(torch="2.4.0")
        assert "deepspeed-elastic-log" in self.ids(torch="2.4.0", deepspeed="0.14.0")


def patch_releases_agree(measured: list[tuple[str, str, str, bool]]) -> bool:
    """Return whether no two patch releases of torch end differently: that is a contradiction, which is not compiled."""
    last_outcomes = {(torch, transformers, peft): trains for torch, transformers, peft, trains in measured}
    by_minor: dict[tuple[str, str, str], set[bool]] = {}
    for (torch, transformers, peft), trains in last_outcomes.items():
        by_minor.setdefault((torch.rpartition(".")[0], transformers, peft), set()).add(trains)
    return all(len(outcomes) == 1 for outcomes in by_minor.values())


numbers = st.integers(min_value=0, max_value=6)
versions = st.builds("{}.{}.{}".format, numbers, numbers, numbers)
cells = st.lists(st.tuples(versions, versions, versions, st.booleans()), max_size=8).filter(patch_releases_agree)


def measured_lines(measured: list[tuple[str, str, str, bool]]) -> list[EvidenceLine]:
    # A day later each: of two measurements of one cell on the same day, neither is the newer one.
    return [
        cell(torch, transformers, peft, date=f"2026-11-{day:02}", **({} if trains else IMPORT_FAILS))
        for day, (torch, transformers, peft, trains) in enumerate(measured, start=1)
    ]


@given(cells, versions, versions, versions)
def test_a_measurement_decides_and_without_successes_nothing_is_compatible(
    measured: list[tuple[str, str, str, bool]], torch: str, transformers: str, peft: str
) -> None:
    lines = measured_lines(measured)
    judged = verdict(matrix(*lines), torch, transformers, peft)
    same_stack = [
        line
        for line in lines
        if (line.cell.torch, line.cell.transformers, line.cell.peft) == (torch, transformers, peft)
    ]
    if same_stack:
        expected = Verdict.VERIFIED if same_stack[-1].trains("bf16") else Verdict.INCOMPATIBLE
        assert judged is expected
    if not any(line.trains("bf16") for line in lines):
        assert judged not in {Verdict.VERIFIED, Verdict.COMPATIBLE}


@given(cells, versions, versions, versions)
def test_a_local_part_never_changes_a_verdict(
    measured: list[tuple[str, str, str, bool]], torch: str, transformers: str, peft: str
) -> None:
    knowledge = matrix(*measured_lines(measured))
    plain = judge(combination(torch, transformers, peft), knowledge, "bf16")
    local = judge(combination(f"{torch}+cu128", transformers, peft), knowledge, "bf16")
    assert plain.verdict is local.verdict


@given(versions, versions, versions)
def test_an_issue_applies_exactly_to_the_versions_in_its_range(low: str, high: str, installed: str) -> None:
    issue = known_issue({"peft": f">={low},<{high}"})
    assert issue.applies_to({"peft": installed}) == (Version(low) <= Version(installed) < Version(high))


class TestModelTypes:
    """Known issues of single models."""

    GEMMA = {"torch": "2.13.0", "transformers": "5.7.0", "peft": "0.21.2"}  # noqa: RUF012

    def judged(self, *model_types: str, **versions: str) -> Judgement:
        asked = Combination(
            python="3.11", versions={**self.GEMMA, **versions}, installed=False, model_types=model_types
        )
        return judge(asked, SHIPPED, "fp16-scaled")

    def test_issue_blocks_its_model_and_is_a_condition_for_unknown_models(self) -> None:
        assert self.judged("gemma4").verdict is Verdict.INCOMPATIBLE
        assert self.judged("gemma4").issues == ("transformers-gemma4-pooler",)
        unknown, other = self.judged(), self.judged("qwen2")
        assert unknown.verdict is not Verdict.INCOMPATIBLE
        assert any("Gemma 4" in condition for condition in unknown.conditions)
        assert not any("Gemma 4" in condition for condition in other.conditions)

    @pytest.mark.parametrize(("version", "expected"), [("5.4.0", 0), ("5.5.0", 1), ("5.9.0", 1), ("5.10.1", 0)])
    def test_gemma_4_pooler_is_an_issue_of_5_5_to_5_9(self, version: str, expected: int) -> None:
        named = {issue.id for issue in SHIPPED.issues if issue.applies_to({"transformers": version})}
        assert len(named & {"transformers-gemma4-pooler"}) == expected

    def test_slow_convolutions_of_torch_2_9_concern_vision_models(self) -> None:
        for model_types, expected in (((), 1), (("qwen3_vl",), 1), (("videochat2", "mistral"), 1), (("llama",), 0)):
            conditions = self.judged(*model_types, torch="2.9.1", transformers="4.57.6").conditions
            assert sum("3D convolutions" in condition for condition in conditions) == expected


def test_a_recipe_without_measurements_of_its_own_is_judged_in_the_loop_as_the_one_that_it_is_like() -> None:
    known = combination("2.13.0", "4.40.1", "0.10.0")
    assert judge_loop(known, MATRIX, "bf16").verdict is Verdict.VERIFIED
    like = next(recipe for recipe in RECIPES.values() if recipe.versions_like == "bf16")
    assert judge_loop(known, MATRIX, like.name) == judge_loop(known, MATRIX, "bf16")
    assert judge_loop(combination("2.13.0", "4.36.2", "0.17.0"), MATRIX, "bf16").verdict is Verdict.INCOMPATIBLE
