"""The verdict on a combination."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from tests.facts import SHIPPED, cell, matrix
from vc2doctor.matrix.judge import Combination, Verdict, judge
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.matrix import Matrix

LEANED = {"numpy": "2.4.6", "accelerate": "1.15.0"}
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
    versions = {"torch": torch, "transformers": transformers, "peft": peft, **LEANED, **others}
    return Combination(python=python, versions=versions)


def verdict(known: Matrix, *versions: str, recipe: str = "bf16", **others: str) -> Verdict:
    return judge(combination(*versions, **others), known, recipe).verdict


LINES = (
    cell("2.13.0", "4.40.1", "0.10.0"),
    cell("2.13.0", "4.48.3", "0.10.0"),
    cell("2.13.0", "4.36.2", "0.17.0", **IMPORT_FAILS),
)
KNOWN = matrix(*LINES)


def test_what_was_measured_is_verified() -> None:
    assert verdict(KNOWN, "2.13.0", "4.40.1", "0.10.0") is Verdict.VERIFIED


def test_the_local_part_of_a_version_does_not_matter() -> None:
    assert verdict(KNOWN, "2.13.0+cu130", "4.40.1", "0.10.0") is Verdict.VERIFIED


def test_what_was_measured_to_fail_is_incompatible_and_says_how() -> None:
    found = judge(combination("2.13.0", "4.36.2", "0.17.0"), KNOWN, "bf16")
    assert found.verdict is Verdict.INCOMPATIBLE
    assert "cannot import name 'X' from 'transformers'" in found.reason


@pytest.mark.parametrize(("python", "numpy"), [("3.12", "2.4.6"), ("3.11", "1.26.4")])
def test_another_python_or_numpy_is_compatible(python: str, numpy: str) -> None:
    found = judge(combination("2.13.0", "4.40.1", "0.10.0", python, numpy=numpy), KNOWN, "bf16")
    assert found.verdict is Verdict.COMPATIBLE
    assert "here differ only" in found.reason


def test_a_failure_between_the_packages_themselves_holds_under_another_python() -> None:
    assert verdict(KNOWN, "2.13.0", "4.36.2", "0.17.0", python="3.12") is Verdict.INCOMPATIBLE


def test_a_failure_of_something_else_does_not_carry_over() -> None:
    failure = {**IMPORT_FAILS["import_failure"], "missing": {"module": "numpy", "symbol": "X"}}  # type: ignore[dict-item]
    known = matrix(cell("2.13.0", "4.36.2", "0.17.0", **{**IMPORT_FAILS, "import_failure": failure}))
    assert verdict(known, "2.13.0", "4.36.2", "0.17.0", numpy="1.26.4") is Verdict.UNVERIFIED


def test_a_patch_release_is_compatible() -> None:
    assert verdict(KNOWN, "2.13.0", "4.40.2", "0.10.0") is Verdict.COMPATIBLE
    assert verdict(KNOWN, "2.13.1", "4.40.1", "0.10.0") is Verdict.COMPATIBLE
    assert verdict(KNOWN, "2.13.0.post1", "4.40.1", "0.10.0") is Verdict.COMPATIBLE


def test_between_two_measured_releases_is_compatible() -> None:
    assert verdict(KNOWN, "2.13.0", "4.44.2", "0.10.0") is Verdict.COMPATIBLE


def test_not_where_a_failure_lies_between() -> None:
    known = matrix(*LINES, cell("2.13.0", "4.45.0", "0.10.0", **IMPORT_FAILS))
    assert verdict(known, "2.13.0", "4.44.2", "0.10.0") is Verdict.UNVERIFIED


def test_beside_a_failure_nothing_is_inferred() -> None:
    known = matrix(cell("2.13.0", "4.40.1", "0.10.0"), cell("2.13.0", "4.40.2", "0.10.0", **IMPORT_FAILS))
    assert verdict(known, "2.13.0", "4.40.3", "0.10.0") is Verdict.UNVERIFIED


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
def test_otherwise_there_is_no_ground(versions: tuple[str, str, str]) -> None:
    found = judge(combination(*versions), KNOWN, "bf16")
    assert found.verdict is Verdict.UNVERIFIED
    assert found.uncertainty


def test_without_evidence_there_is_no_ground() -> None:
    assert judge(combination("2.13.0", "5.0.0", "0.1"), matrix(), "bf16").reason == "nothing was measured"


def test_what_the_device_could_not_run_says_nothing() -> None:
    line = cell("2.13.0", "4.40.1", "0.10.0", recipes={"fp32": "finite", "bf16": "finite", "fp16-amp": "unsupported"})
    assert verdict(matrix(line), "2.13.0", "4.40.1", "0.10.0") is Verdict.VERIFIED
    assert verdict(matrix(line), "2.13.0", "4.40.1", "0.10.0", recipe="fp16-amp") is Verdict.UNVERIFIED


def test_a_bad_outcome_of_the_recipe_decides_only_for_it() -> None:
    line = cell("2.13.0", "4.40.1", "0.10.0", recipes={"fp32": "finite", "bf16": "finite", "fp16-unscaled": "poisoned"})
    assert verdict(matrix(line), "2.13.0", "4.40.1", "0.10.0") is Verdict.VERIFIED
    assert verdict(matrix(line), "2.13.0", "4.40.1", "0.10.0", recipe="fp16-unscaled") is Verdict.INCOMPATIBLE


def test_an_adapter_that_cannot_be_reloaded_is_incompatible() -> None:
    line = cell("2.13.0", "4.40.1", "0.10.0", adapter="error")
    assert verdict(matrix(line), "2.13.0", "4.40.1", "0.10.0") is Verdict.INCOMPATIBLE


class TestKnownIssues:
    """Reported defects of the shipped matrix, by the versions that threads name."""

    def ids(self, recipe: str = "bf16", **versions: str) -> set[str]:
        installed = {name.replace("_", "-"): version for name, version in versions.items()}
        return {issue.id for issue in SHIPPED.issues if issue.applies_to(installed) and issue.blocks(recipe)}

    def test_encoder_decoder_cache(self) -> None:
        assert "peft-encoderdecodercache" in self.ids(peft="0.14.0", transformers="4.39.3")
        assert "peft-encoderdecodercache" in self.ids(peft="0.14.0", transformers="4.42.4")
        assert "peft-encoderdecodercache" not in self.ids(peft="0.14.0", transformers="4.46.3")
        assert "peft-encoderdecodercache" not in self.ids(peft="0.13.2", transformers="4.39.3")

    def test_hybrid_cache(self) -> None:
        assert "peft-hybridcache" in self.ids(peft="0.17.1", transformers="5.0.0")
        assert "peft-hybridcache" in self.ids(peft="0.17.0", transformers="4.36.2")
        assert self.ids(peft="0.19.1", transformers="5.9.0") == set()
        assert self.ids(peft="0.17.0", transformers="4.57.6") == set()

    def test_half_adapters_spoil_float16_only(self) -> None:
        assert "peft-half-adapters" in self.ids("fp16-scaled", peft="0.10.0")
        assert "peft-half-adapters" in self.ids("fp16-unscaled", peft="0.11.1")
        assert "peft-half-adapters" not in self.ids("bf16", peft="0.10.0")
        assert "peft-half-adapters" not in self.ids("fp16-scaled", peft="0.12.0")
        assert "peft-half-adapters" not in self.ids("fp16-scaled", peft="0.6.2")

    def test_local_versions_are_understood(self) -> None:
        assert "torch-numpy-2" in self.ids(torch="2.2.2+cpu", numpy="2.0.0")
        assert "torch-numpy-2" not in self.ids(torch="2.3.0+cu121", numpy="2.0.0")

    def test_an_issue_of_a_package_that_is_not_installed_does_not_strike(self) -> None:
        assert "deepspeed-elastic-log" not in self.ids(torch="2.4.0")
        assert "deepspeed-elastic-log" in self.ids(torch="2.4.0", deepspeed="0.14.0")


numbers = st.integers(min_value=0, max_value=6)
versions = st.builds("{}.{}.{}".format, numbers, numbers, numbers)
cells = st.lists(st.tuples(versions, versions, versions, st.booleans()), max_size=8)


@given(cells, versions, versions, versions)
def test_nothing_measured_to_fail_is_called_compatible(
    measured: list[tuple[str, str, str, bool]], torch: str, transformers: str, peft: str
) -> None:
    lines = [cell(t, f, p, **({} if good else IMPORT_FAILS)) for t, f, p, good in measured]
    known = matrix(*lines)
    found = verdict(known, torch, transformers, peft)
    here = [
        line
        for line in lines
        if (line.cell.torch, line.cell.transformers, line.cell.peft) == (torch, transformers, peft)
    ]
    if here:
        expected = Verdict.VERIFIED if here[-1].trains("bf16") else Verdict.INCOMPATIBLE
        assert found is expected
    if not any(line.trains("bf16") for line in lines):
        assert found not in {Verdict.VERIFIED, Verdict.COMPATIBLE}


@given(cells, versions, versions, versions)
def test_a_local_part_changes_no_verdict(
    measured: list[tuple[str, str, str, bool]], torch: str, transformers: str, peft: str
) -> None:
    known = matrix(*(cell(t, f, p, **({} if good else IMPORT_FAILS)) for t, f, p, good in measured))
    plain = judge(combination(torch, transformers, peft), known, "bf16")
    local = judge(combination(f"{torch}+cu128", transformers, peft), known, "bf16")
    assert plain.verdict is local.verdict


@given(versions, versions, versions)
def test_strikes_agrees_with_plain_comparison(low: str, high: str, here: str) -> None:
    issue = KnownIssue(
        id="x",
        title="x",
        severity="error",
        explanation="x",
        symptom="x",
        when=({"peft": f">={low},<{high}"},),
        fix=(("peft>1",),),
        sources=("https://example.org",),
        evidence="x",
    )
    assert issue.applies_to({"peft": here}) == (Version(low) <= Version(here) < Version(high))
