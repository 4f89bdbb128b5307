"""What a verdict says beside its name: the cell, the versions that differ, and the nearest releases."""

from __future__ import annotations

import pytest

from tests.facts import SHIPPED, cell
from tests.facts import matrix as matrix_of
from tests.matrix.test_judge import IMPORT_FAILS, LINES, MATRIX, combination, known_issue
from vc2doctor.curate.compile import compile_matrix
from vc2doctor.matrix.compiled import Verdicts
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.judge import Combination, Judgement, Verdict, judge, nearest_cells
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.releases import Release, Wheels

STACK = {"torch": "2.13.0", "transformers": "4.40.1", "peft": "0.10.0"}
MEASURED = "Cell 2.13.0-4.40.1-0.10.0 was measured on 2026-11-24 on cpu"
SPREAD = matrix_of(
    cell("2.12.0", "4.40.1", "0.10.0"),
    cell("2.13.0", "4.48.3", "0.12.0"),
    cell("2.13.0", "4.40.1", "0.12.0", **IMPORT_FAILS),
    cell("2.14.0", "4.52.0", "0.14.0"),
)
"""Each peft was measured with one transformers that trains, and peft 0.12.0 fails with an older one as well."""


def named(python: str | None = "3.11", **versions: str) -> Combination:
    """Return versions of which a user wants to install some, and no complete environment."""
    return Combination(python=python, versions={**STACK, **versions}, installed=False)


def judged(asked: Combination, knowledge: Matrix = MATRIX, recipe: str = "bf16") -> Judgement:
    return judge(asked, knowledge, recipe)


def with_issue(issue: KnownIssue, knowledge: Matrix = MATRIX) -> Matrix:
    return knowledge.model_copy(update={"issues": (issue,)})


class TestMeasured:
    """A measurement of exactly these versions."""

    def test_reason_names_the_cell_its_date_and_its_device(self) -> None:
        assert judged(combination(**STACK)).reason == f"{MEASURED} and trains under bf16"
        never_ran = matrix_of(cell("2.13.0", "4.40.1", "0.10.0", device="none"))
        assert " was measured on 2026-11-24 and trains" in judged(combination(**STACK), never_ran).reason

    def test_failure_is_quoted_from_the_cell_and_keeps_the_known_issues(self) -> None:
        broken = combination("2.13.0", "4.36.2", "0.17.0")
        judgement = judged(broken, with_issue(known_issue({"peft": "==0.17.0"})))
        assert judgement.reason.startswith("Cell 2.13.0-4.36.2-0.17.0 was measured on 2026-11-24 on cpu and does not")
        assert judgement.issues == ("x",)

    def test_failed_installation_is_a_fact_about_the_python_that_is_named(self) -> None:
        failed = {"install": "no-wheel", "install_message": "no", "resolved": {}, "recipes": {}, "device": "none"}
        knowledge = matrix_of(
            cell("2.13.0", "4.40.1", "0.10.0", adapter="not reached", **failed), cell("2.13.0", "4.30.0", "0.10.0")
        )
        assert judged(named(), knowledge).verdict is Verdict.INCOMPATIBLE
        # Another Python may have the wheels.
        assert judged(named(python=None), knowledge).verdict is Verdict.UNVERIFIED
        assert judged(combination(**STACK), knowledge).verdict is Verdict.UNVERIFIED

    def test_failure_without_a_python_counts_if_something_was_installed(self) -> None:
        asked = named(python=None, transformers="4.36.2", peft="0.17.0")
        assert judged(asked).reason.startswith("Cell 2.13.0-4.36.2-0.17.0")


class TestKnownIssuesOfMeasuredVersions:
    """A cell that trains refutes reports about what it had."""

    def test_issue_of_a_package_that_the_cell_lacked_is_not_refuted(self) -> None:
        knowledge = with_issue(known_issue({"deepspeed": "<1"}))
        assert judged(combination(**STACK, deepspeed="0.14.0"), knowledge).verdict is Verdict.INCOMPATIBLE
        assert judged(combination(**STACK), knowledge).verdict is Verdict.VERIFIED

    def test_issue_of_the_python_and_the_companions_of_the_cell_is_refuted(self) -> None:
        for when in ({"python": ">=3.11"}, {"numpy": ">=2", "peft": "==0.10.0"}):
            assert judged(combination(**STACK), with_issue(known_issue(when))).verdict is Verdict.VERIFIED

    def test_warning_is_a_condition_with_its_explanation(self) -> None:
        warning = known_issue({"peft": "==0.10.0"}).model_copy(update={"severity": "warning", "explanation": "why"})
        judgement = judged(combination(**STACK), with_issue(warning))
        assert (judgement.verdict, judgement.conditions) == (Verdict.VERIFIED, ("a defect: why",))

    def test_error_and_constraint_name_their_ids(self) -> None:
        asked = combination("2.12.0", "4.40.1", "0.12.0")
        judgement = judged(asked, with_issue(known_issue({"peft": "==0.12.0"}), SPREAD))
        assert (judgement.issues, judgement.constraints) == (("x",), ("import-peft-transformers-x-1",))
        assert judgement.reason.startswith("a defect; With transformers 4.40.1 and peft 0.12.0, the import fails")


class TestRecipes:
    """A failure under one recipe leaves the others alone."""

    FAILURE = {"type": "TypeError", "message": "it broke", "package": "transformers"}  # noqa: RUF012
    KNOWLEDGE = matrix_of(
        cell("2.12.0", "4.40.1", "0.10.0"),
        cell("2.13.0", "4.40.1", "0.10.0"),
        cell(
            *("2.13.0", "4.48.3", "0.10.0"),
            recipes={"fp32": "finite", "bf16": "finite", "fp16-scaled": "error"},
            failures={"fp16-scaled": FAILURE},
        ),
        cell("2.13.0", "4.52.0", "0.10.0"),
    )

    @pytest.mark.parametrize(
        ("transformers", "recipe", "expected"),
        [
            ("4.48.3", "fp16-scaled", Verdict.INCOMPATIBLE),
            ("4.46.3", "fp16-scaled", Verdict.UNVERIFIED),
            ("4.48.3", "bf16", Verdict.COMPATIBLE),
            ("4.46.3", "bf16", Verdict.COMPATIBLE),
        ],
    )
    def test_failure_and_its_uncertain_zone_hold_for_the_recipe_that_failed(
        self, transformers: str, recipe: str, expected: Verdict
    ) -> None:
        assert judged(combination("2.12.0", transformers, "0.10.0"), self.KNOWLEDGE, recipe).verdict is expected


def test_failed_installation_leaves_a_complete_environment_alone() -> None:
    failed = {"install": "unsatisfiable", "install_message": "no", "resolved": {}, "recipes": {}, "device": "none"}
    knowledge = matrix_of(
        cell("2.12.0", "4.40.1", "0.10.0"),
        cell("2.13.0", "4.52.0", "0.12.0"),
        cell("2.13.0", "4.40.1", "0.12.0", adapter="not reached", **failed),
    )
    versions = {"torch": "2.13.0", "transformers": "4.44.0", "peft": "0.10.0"}
    for installed in (True, False):
        judgement = judged(Combination(python="3.11", versions=versions, installed=installed), knowledge)
        assert (judgement.uncertainty == "near the boundary of install-unsatisfiable-1") is not installed


class TestSameStack:
    """The stack was measured with another Python or other companions."""

    def test_versions_that_differ_are_named(self) -> None:
        statement = "only these versions differ"
        other = judged(combination(**STACK, numpy="1.26.4"))
        assert other.reason == f"{MEASURED} and trains under bf16; {statement}: numpy 1.26.4 (measured: 2.4.6)"
        later = matrix_of(*LINES, cell("2.13.0", "4.48.3", "0.10.0", cell={**STACK, "python": "3.12"}))
        python = judged(named(python="3.12", transformers="4.48.3"), later)
        assert python.reason.endswith(f"{statement}: Python 3.12 (measured: 3.11)")

    def test_packages_that_a_complete_environment_lacks_are_absent(self) -> None:
        reason = judged(Combination(python="3.11", versions=STACK)).reason
        assert reason.endswith("accelerate absent (measured: 1.15.0), numpy absent (measured: 2.4.6)")

    def test_packages_that_nobody_named_are_not_compared(self) -> None:
        assert judged(named()).verdict is Verdict.VERIFIED
        assert judged(named(numpy="1.26.4")).reason.endswith(
            "only these versions differ: numpy 1.26.4 (measured: 2.4.6)"
        )


class TestOutside:
    """Versions that were not measured, and the key that groups them."""

    def test_stack_without_a_version_is_not_judged(self) -> None:
        judgement = judged(Combination(python="3.11", versions={"torch": "2.13.0"}, installed=False))
        assert (judgement.verdict, judgement.uncertainty) == (Verdict.UNVERIFIED, "unnamed")
        assert judgement.reason.startswith("No version of transformers and peft was named;")

    def test_without_evidence_the_key_says_so(self) -> None:
        assert judged(combination(**STACK), matrix_of()).uncertainty == "nothing"

    @pytest.mark.parametrize(
        ("asked", "reason", "key"),
        [
            (named(python="3.8"), "older than measured: Python 3.8 (measured: 3.11 to 3.11)", "python older"),
            (
                named(python="3.13"),
                (
                    "newer than measured: Python 3.13 (measured: 3.11 to 3.11);"
                    " with Python 3.11, the newest measured, the verdict is verified"
                ),
                "python newer",
            ),
            (
                combination("2.14.0", "4.40.1", "0.10.0"),
                (
                    "newer than measured: torch 2.14.0 (measured: 2.13.0 to 2.13.0);"
                    " with torch 2.13.0, the newest measured, the verdict is verified"
                ),
                "torch newer",
            ),
            (
                combination("2.14.0", "4.44.2", "0.10.0"),
                (
                    "newer than measured: torch 2.14.0 (measured: 2.13.0 to 2.13.0);"
                    " with torch 2.13.0, the newest measured, the verdict is compatible (Not measured together."
                    " Every pair was measured to train under bf16 with neighboring versions, and no conflict is known)"
                ),
                "torch newer",
            ),
            (
                combination("2.13.0", "4.48.4", "0.10.0"),
                (
                    "newer than measured: transformers 4.48.4 (measured: 4.36.2 to 4.48.3);"
                    " with transformers 4.48.3, the newest measured, the verdict is verified"
                ),
                "transformers newer",
            ),
            (
                combination("2.13.0", "4.30.0", "0.10.0"),
                "older than measured: transformers 4.30.0 (measured: 4.36.2 to 4.48.3)",
                "transformers older",
            ),
            (
                combination("2.13.0a0", "4.40.1", "0.10.0"),
                "torch 2.13.0a0 is a pre-release, and the matrix covers final releases only",
                "pre-release",
            ),
        ],
    )
    def test_reason_names_the_measured_releases(self, asked: Combination, reason: str, key: str) -> None:
        judgement = judged(asked)
        assert (judgement.verdict, judgement.reason, judgement.uncertainty) == (Verdict.UNVERIFIED, reason, key)

    def test_versions_near_a_failure_name_it(self) -> None:
        knowledge = matrix_of(*LINES, cell("2.13.0", "4.45.0", "0.10.0", **IMPORT_FAILS))
        judgement = judged(combination("2.13.0", "4.44.2", "0.10.0"), knowledge)
        assert judgement.uncertainty == "near the boundary of import-peft-transformers-x-2"
        assert judgement.reason.startswith("These versions lie near a measured failure, and no measurement shows")
        assert "measured failures: 2.13.0-4.45.0-0.10.0" in judgement.reason


class TestPairs:
    """Versions that were not measured together, but each pair was with neighbors."""

    def test_reason_names_each_pair_with_its_releases(self) -> None:
        reason = judged(combination("2.12.0", "4.48.3", "0.12.0"), SPREAD).reason
        assert reason.split("; ") == [
            (
                "Not measured together. Every pair was measured to train under bf16 with neighboring versions, and no"
                " conflict is known"
            ),
            "transformers 4.40.1 to 4.52.0 was measured with torch 2.12.0 to 2.14.0",
            "peft 0.10.0 to 0.14.0 was measured with torch 2.12.0 to 2.14.0",
            "torch 2.12.0 to 2.14.0 was measured with transformers 4.40.1 to 4.52.0",
            "peft 0.12.0 was measured with transformers 4.48.3",
            "torch 2.12.0 to 2.14.0 was measured with peft 0.10.0 to 0.14.0",
            "transformers 4.48.3 to 4.52.0 was measured with peft 0.12.0 to 0.14.0",
        ]

    @pytest.mark.parametrize(("peft", "side", "only"), [("0.10.0", "newer", "4.40.1"), ("0.14.0", "older", "4.52.0")])
    def test_release_beyond_those_that_train_with_its_partner_is_unverified(
        self, peft: str, side: str, only: str
    ) -> None:
        judgement = judged(combination("2.12.0", "4.48.3", peft), SPREAD)
        assert judgement.verdict is Verdict.UNVERIFIED
        assert judgement.uncertainty == f"transformers {side} than measured with peft {peft}"
        assert judgement.reason == (
            f"transformers 4.48.3 is {side} than every release that was measured to train under bf16 with peft {peft}"
            f" ({only} to {only})"
        )

    def test_partner_without_any_success_is_unverified_and_named(self) -> None:
        knowledge = matrix_of(cell("2.13.0", "4.40.1", "0.10.0", recipes={"fp32": "finite", "bf16": "unsupported"}))
        judgement = judged(combination(**STACK), knowledge)
        assert judgement.reason == "No measured cell with transformers 4.40.1 trains under bf16"
        assert judgement.uncertainty == "no torch trains with transformers 4.40.1"


def releases(*texts: str) -> dict[str, Release]:
    return {text: Release(date="2026-01-01") for text in texts}


def verdicts_of(*lines: EvidenceLine) -> Verdicts:
    known = {
        "torch": releases("2.11.0", "2.12.0", "2.13.0"),
        "transformers": releases(*(f"4.4{number}.0" for number in range(9))),
        "peft": releases(*(f"0.1{number}.0" for number in range(9))),
    }
    return compile_matrix(lines, (), Wheels(date="", releases=known, required=(), provided=()))


def under(python: str, torch: str, transformers: str, peft: str) -> EvidenceLine:
    return cell(
        torch, transformers, peft, cell={"python": python, "torch": torch, "transformers": transformers, "peft": peft}
    )


def test_release_that_a_cell_was_given_and_the_user_did_not_name_is_said() -> None:
    stack = {"torch": "2.13.0", "transformers": "4.44.2", "peft": "0.15.2"}
    asked = Combination(python="3.11", versions=stack, installed=False)
    assert "; verified with accelerate 0.32.1, compatible with other releases of accelerate" in (
        judge(asked, SHIPPED, "bf16").reason
    )
    named = asked.model_copy(update={"versions": {**stack, "accelerate": "0.32.1"}})
    assert "compatible with other releases" not in judge(named, SHIPPED, "bf16").reason


class TestNearest:
    """Measured cells near a combination, for a report on versions that are not known."""

    TARGET = combination("2.13.0", "4.44.0", "0.12.0")

    @pytest.mark.parametrize(("torchs_python", "other"), [("3.11", "3.12"), ("3.12", "3.11")])
    def test_one_release_of_torch_counts_as_four_of_transformers_and_two_of_peft(
        self, torchs_python: str, other: str
    ) -> None:
        far = {
            "torch": under(torchs_python, "2.12.0", "4.44.0", "0.12.0"),
            "transformers": under(other, "2.13.0", "4.48.0", "0.12.0"),
            "peft": under(other, "2.13.0", "4.44.0", "0.14.0"),
        }
        # All are equally far, so those of the same Python come first.
        found = nearest_cells(self.TARGET, verdicts_of(*far.values()), "bf16")
        assert [line[:11] for line in found] == sorted(line[:11] for line in found)
        assert len(found) == 3
        assert found[0].startswith(
            "Python 3.11, torch 2.12.0" if torchs_python == "3.11" else "Python 3.11, torch 2.13.0"
        )

    def test_nearest_comes_first_and_three_are_enough(self) -> None:
        lines = [under("3.11", "2.13.0", f"4.4{far}.0", f"0.1{2 + far % 2 * 3}.0") for far in (0, 1, 2, 3, 7)]
        found = nearest_cells(self.TARGET, verdicts_of(*lines), "bf16")
        assert found == [
            "Python 3.11, torch 2.13.0, transformers 4.42.0, peft 0.12.0: trains under bf16",
            "Python 3.11, torch 2.13.0, transformers 4.40.0, peft 0.12.0: trains under bf16",
            "Python 3.11, torch 2.13.0, transformers 4.43.0, peft 0.15.0: trains under bf16",
        ]
        assert nearest_cells(self.TARGET, verdicts_of(*lines), "bf16", limit=1) == found[:1]

    def test_failure_is_told_in_one_short_line(self) -> None:
        failure = {**IMPORT_FAILS["import_failure"], "message": "it broke\n  " + 99 * "again "}  # type: ignore[dict-item]
        line = cell("2.13.0", "4.44.0", "0.12.0", **{**IMPORT_FAILS, "import_failure": failure})
        (found,) = nearest_cells(self.TARGET, verdicts_of(line), "bf16")
        outcome = found.partition(": ")[2]
        assert outcome.startswith("the import fails: it broke again again")
        assert len(outcome) == 160

    def test_cell_that_did_not_measure_the_recipe_is_left_out(self) -> None:
        line = cell("2.13.0", "4.44.0", "0.12.0", recipes={"fp32": "finite", "bf16": "unsupported"})
        assert nearest_cells(self.TARGET, verdicts_of(line), "bf16") == []

    def test_of_a_package_that_is_not_named_all_releases_are_equally_near(self) -> None:
        unnamed = Combination(python="3.11", versions={"transformers": "4.44.0", "peft": "0.12.0"}, installed=False)
        lines = [
            cell("2.5.1", "4.44.0", "0.12.0"),
            cell("2.13.0", "4.44.0", "0.12.0"),
            cell("2.13.0", "4.40.0", "0.9.0"),
        ]
        first, *_ = nearest_cells(unnamed, verdicts_of(*lines), "bf16")
        assert "transformers 4.44.0, peft 0.12.0" in first

    def test_combination_without_a_version_has_no_neighbors(self) -> None:
        unnamed = Combination(python="3.11", versions={"torch": "2.13.0"}, installed=False)
        assert nearest_cells(unnamed, MATRIX.verdicts, "bf16") == []
