"""What a remedy is searched for, asked of the matrix that is shipped: what counts as solved, and what may change."""

from __future__ import annotations

from typing import Any

import pytest
from packaging.version import Version

from tests.facts import SHIPPED, cell, matrix
from tests.remedies.test_plan import WITH_TRL
from tests.remedies.test_smallest import GOOD, OLD, question
from vc2doctor.matrix.compiled import Constraint
from vc2doctor.matrix.judge import Combination, Verdict
from vc2doctor.matrix.verdict import ANY_VERSION
from vc2doctor.remedies.question import Goal, Question, Requires

OLD_TRL = {"trl": "0.14.0", "datasets": "5.2.0"}
"""A trl with a known issue that breaks only some training code: a warning."""
GEMMA = {"transformers": "5.5.0", "peft": "0.19.0", "huggingface-hub": "1.9.0", "tokenizers": "0.22.2"}
"""A transformers whose pooler of Gemma 4 overflows in float16: a defect of one model."""


def listed(versions: dict[str, str], *, python: str | None = "3.11", **goal: Any) -> Question:  # noqa: ANN401
    """Return the question of a list of versions that is not installed."""
    combination = Combination(python=python, versions=versions, installed=False)
    return Question(combination=combination, matrix=SHIPPED, goal=Goal(**{"recipe": "bf16", **goal}))


def conflicts_of(asked: Question) -> list[tuple[str, ...]]:
    return [tuple(sorted(names)) for names in asked.conflicts]


def test_measured_versions_are_solved_as_they_are() -> None:
    asked = question()
    assert asked.is_solved_by({})
    assert (asked.conflicts, asked.missing, asked.undeclared) == ((), (), ())
    assert asked.with_undeclared is asked


@pytest.mark.parametrize(
    ("changed", "goal"),
    [
        # Declared by transformers, and not met.
        ({"tokenizers": "0.19.1"}, {}),
        # Known to fail.
        ({"accelerate": "0.20.3"}, {}),
        ({"torchvision": "0.28.0"}, {}),
        # Not known at all.
        ({"torch": "2.16.0"}, {}),
        # Asked for by an exception or a check.
        ({}, {"wanted": {"accelerate": "<1.10"}}),
        ({}, {"wanted": {"psutil": ""}}),
        (OLD_TRL, {"avoided": ("trl-new-transformers",)}),
    ],
)
def test_versions_with_a_fault_are_not_solved_until_it_is_gone(changed: dict[str, str], goal: dict[str, Any]) -> None:
    asked = question(changed, **goal)
    assert not asked.is_solved_by({})
    assert question(changed).is_solved_by({}) is bool(goal)


def test_changes_solve_what_the_versions_alone_do_not() -> None:
    assert question({"accelerate": "0.20.3"}).is_solved_by({"accelerate": "1.3.0"})
    assert question(wanted={"accelerate": "<1.10"}).is_solved_by({"accelerate": "1.9.0"})
    assert question(wanted={"psutil": ">=6"}).is_solved_by({"psutil": "7.0.0"})
    assert not question(wanted={"psutil": ">=6"}).is_solved_by({"psutil": "5.9.8"})
    # 0.15.0 is without the defect, although the first fix of the known issue is a later release.
    assert question(OLD_TRL, avoided=("trl-new-transformers",)).is_solved_by({"trl": "0.15.0"})


def test_defect_of_a_model_is_not_solved_by_a_release_that_does_not_have_the_model() -> None:
    broken = question(GEMMA, recipe="fp16-unscaled")
    combination = broken.combination.model_copy(update={"model_types": ("gemma4",)})
    asked = broken.model_copy(update={"combination": combination})
    older = {"transformers": "5.3.0"}
    assert broken.is_solved_by(older)
    assert not asked.is_solved_by(older)
    assert not asked.is_solved_by({})
    assert asked.is_solved_by({"transformers": "5.10.4"})


def test_recipe_and_doors_of_the_goal_decide_the_verdict() -> None:
    half = {**OLD, "transformers": "4.40.1", "tokenizers": "0.19.1", "peft": "0.10.0"}
    assert question(half, recipe="fp16-scaled").judged({}).verdict is Verdict.INCOMPATIBLE
    assert question(half, recipe="bf16").judged({}).verdict is not Verdict.INCOMPATIBLE
    numpy_1 = {"pyarrow": "26.0.0", "numpy": "1.26.4", "datasets": "2.19.1"}
    assert question(numpy_1, doors=("trainer",)).judged({}).verdict is Verdict.INCOMPATIBLE
    assert question(numpy_1, doors=("loop",)).judged({}).verdict is not Verdict.INCOMPATIBLE
    assert question(numpy_1, doors=("trainer",)).judged({"pyarrow": "25.0.0"}).verdict is not Verdict.INCOMPATIBLE


def test_changed_package_declares_what_its_new_release_does() -> None:
    asked = question({"transformers": "4.40.1"})
    hub = Requires("transformers", "huggingface-hub", "<1.0,>=0.19.3")
    assert hub in asked.requires_of_installed
    after = asked.after({"transformers": "5.23.0"})
    assert after.combination.versions == GOOD
    assert (after.matrix, after.goal) == (asked.matrix, asked.goal)
    assert hub not in after.requires
    assert {each.specifier for each in after.requires if each[:2] == ("transformers", "huggingface-hub")} == {
        "<3.0,>=1.31.0"
    }
    assert after.is_solved_by({})


def test_requirement_that_new_versions_do_not_meet_is_named_with_the_package_that_declares_it() -> None:
    unmet = question().unmet_after({"tokenizers": "0.19.1"})
    assert [each[:2] for each in unmet] == [("transformers", "tokenizers"), ("tokenizers", "huggingface-hub")]
    assert question().unmet_after({}) == []
    assert question({"tokenizers": "0.19.1"}).unmet_after({"tokenizers": "0.23.3"}) == []


def test_missing_package_counts_if_the_metadata_declares_it_and_not_if_a_new_release_would_bring_it() -> None:
    needed = Requires("transformers", "safetensors", ">=0.4.3")
    versions = {name: text for name, text in GOOD.items() if name != "safetensors"}
    asked = question().model_copy(update={"combination": Combination(python="3.11", versions=versions)})
    assert [each.dependency for each in asked.unmet_after({})] == ["safetensors"] * len(asked.unmet_after({}))
    assert asked.unmet_after({})
    # A trl that is added requires datasets, and the installer brings both.
    assert question().unmet_after({"trl": "0.15.2"}) == []
    # Nothing is known about the releases of psutil.
    unknown = Requires("accelerate", "psutil", "")
    assert not asked.is_unmet(unknown, versions)
    assert not asked.is_unmet(needed, {**versions, "safetensors": "0.8.0"})
    assert asked.is_unmet(needed, {**versions, "safetensors": "0.4.2"})


def test_requirement_of_a_package_beside_the_stack_is_tolerated_only_if_it_is_unmet_already() -> None:
    held = Requires("gradio", "huggingface-hub", "<1.0")
    asked = question()
    already = asked.model_copy(update={"requires": (*asked.requires, held)})
    assert held not in already.requires_of_installed
    old = question(OLD)
    met = old.model_copy(update={"requires": (*old.requires, held)})
    assert held in met.requires_of_installed
    assert held in met.unmet_after({"huggingface-hub": "2.4.0"})


def test_releases_of_a_list_declare_what_the_index_says() -> None:
    asked = listed({"torch": "2.13.0", "transformers": "4.40.1", "peft": "0.13.0", "huggingface-hub": "2.4.0"})
    assert [each[:2] for each in asked.unmet_after({})] == [("transformers", "huggingface-hub")]
    assert asked.requires_of("transformers", "0.0.1") == []
    assert asked.requires_of("unknown", "1.0") == []
    assert asked.requires_of("peft", "0.13") == asked.requires_of("peft", "0.13.0") != []
    assert [each.package for each in asked.requires_of("torch", "2.13.0+cpu")][:1] == ["torch"]


def test_package_that_trl_imports_and_does_not_declare_is_known_where_its_doors_matter() -> None:
    asked = question(WITH_TRL, doors=("dpo",))
    assert asked.undeclared == ("rich",)
    assert asked.with_undeclared.undeclared == ()
    assert asked.with_undeclared.combination.version("rich") == Version(ANY_VERSION)
    assert question(WITH_TRL, doors=("trainer",)).undeclared == ()
    assert question({**WITH_TRL, "rich": "14.0.0"}, doors=("dpo",)).undeclared == ()


@pytest.mark.parametrize(
    ("changed", "undeclared"),
    [
        ({"severity": "warning"}, ()),
        ({"severity": "warning", "recipes": ("bf16",)}, ()),
        ({"recipes": ("fp16-amp",)}, ()),
        ({"recipes": ("bf16",)}, ("rich",)),
    ],
)
def test_undeclared_package_is_brought_only_if_the_training_fails_without_it(
    changed: dict[str, Any], undeclared: tuple[str, ...]
) -> None:
    (issue,) = (each for each in SHIPPED.issues if each.id == "trl-undeclared-rich")
    known = SHIPPED.model_copy(update={"issues": (issue.model_copy(update=changed),)})
    assert question(WITH_TRL, known=known, doors=("dpo",)).undeclared == undeclared


@pytest.mark.parametrize(
    ("changed", "goal", "expected"),
    [
        ({"huggingface-hub": "0.36.0"}, {}, [("huggingface-hub", "transformers")]),
        ({"bitsandbytes": "0.44.0"}, {}, [("bitsandbytes", "torch", "triton")]),
        # torch was chosen for this machine, so the package that is compiled for another one changes.
        ({"torchvision": "0.28.0"}, {}, [("torchvision",)]),
        ({}, {"wanted": {"accelerate": "<1.10", "numpy": ""}}, [("accelerate",)]),
        ({}, {"wanted": {"psutil": ""}}, [("psutil",)]),
        ({**OLD_TRL}, {"avoided": ("trl-new-transformers",)}, [("transformers", "trl")]),
        # Newer than everything that was measured: the reason of the verdict names it.
        ({"torch": "2.16.0"}, {}, [("torch",)]),
        (
            {"pyarrow": "26.0.0", "numpy": "1.26.4", "datasets": "2.19.1"},
            {"doors": ("trainer",)},
            [("datasets", "numpy", "pyarrow")],
        ),
        ({"pyarrow": "26.0.0", "numpy": "1.26.4", "datasets": "2.19.1"}, {"doors": ("loop",)}, []),
    ],
)
def test_conflict_names_the_packages_of_which_one_has_to_change(
    changed: dict[str, str], goal: dict[str, Any], expected: list[tuple[str, ...]]
) -> None:
    assert conflicts_of(question(changed, **goal)) == expected


def test_verdict_that_is_open_for_the_python_alone_suspects_no_package() -> None:
    asked = question(python="3.20")
    assert asked.judged({}).verdict is Verdict.UNVERIFIED
    assert asked.conflicts == ()


def test_package_of_the_stack_that_is_not_there_has_to_come() -> None:
    versions = {name: text for name, text in GOOD.items() if name != "peft"}
    asked = question().model_copy(update={"combination": Combination(python="3.11", versions=versions)})
    assert asked.missing == ("peft",)
    assert ("peft",) in conflicts_of(asked)


def test_regions_are_those_of_the_recipe_and_of_the_doors_that_matter() -> None:
    half_adapters = {"peft": ">=0.7,<0.12"}
    assert half_adapters in question(recipe="fp16-scaled").regions
    assert half_adapters not in question().regions
    sdpa_mask = {"torch": "==2.1.*", "peft": ">=0.14.0,<=0.21.2"}
    assert sdpa_mask in question(recipe="bf16-amp").regions
    assert sdpa_mask not in question().regions
    rich = {"trl": ">=0.8.0,<0.12.0", "rich": "absent"}
    assert rich in question(doors=("dpo",)).regions
    assert rich not in question(doors=("trainer",)).regions
    seedable = {"transformers": ">=4.38.0,<4.46.0", "accelerate": "<0.26.0"}
    # trl's trainers go through that of transformers.
    assert seedable in question(doors=("sft",)).regions
    assert seedable not in question(doors=("loop",)).regions
    no_python = {"torch": ">=2.9.0", "python": "==3.9"}
    assert no_python in question().resolver_regions
    assert no_python not in question().regions
    assert no_python in listed(GOOD).regions


def test_warnings_are_avoided_unless_one_is_there_already_that_only_another_torch_would_fix() -> None:
    masked, accumulation = {"torch": ">=2.0,<2.5"}, {"transformers": ">=4.46.0,<4.48.1"}
    for region in (masked, accumulation):
        assert region in question().warned_regions
    assert masked not in question({"torch": "2.4.1"}).warned_regions
    assert accumulation in question({"transformers": "4.46.0"}).warned_regions
    assert {"bitsandbytes": "<0.45.1", "torch": ">=2.6", "triton": ""} not in question().warned_regions
    # Most people train with the Trainer, so a remedy for a plain loop does not break it either.
    dispatch = {"transformers": ">=4.32.0,<4.40.0", "accelerate": ">=1.0.0"}
    assert dispatch in question(doors=("loop",)).warned_regions
    assert dispatch not in question(doors=("trainer",)).warned_regions
    slow_conv3d = {"torch": "==2.9.*"}
    assert slow_conv3d in question(recipe="bf16").warned_regions
    assert slow_conv3d not in question(recipe="fp32").warned_regions


def test_warning_of_the_trainer_concerns_the_recipe_and_the_environment_in_which_it_fails() -> None:
    region = {"transformers": "<5.30", "scipy": "absent"}
    failing = Constraint(id="x", kind="behaviour", reason="x", when=region, door="trainer", recipes=("bf16-amp",))
    verdicts = SHIPPED.verdicts.model_copy(update={"constraints": (*SHIPPED.verdicts.constraints, failing)})
    known = SHIPPED.model_copy(update={"verdicts": verdicts})
    assert region in question(known=known, recipe="bf16-amp", doors=("loop",)).warned_regions
    assert region not in question(known=known, recipe="bf16", doors=("loop",)).warned_regions
    # Of a list nothing is known to be absent.
    goal = Goal(recipe="bf16-amp", doors=("loop",))
    assert region not in Question(combination=listed(GOOD).combination, matrix=known, goal=goal).warned_regions


def test_releases_are_those_that_can_be_installed_under_this_python_the_oldest_first() -> None:
    of_3_11, of_3_13 = (question(python=python).releases("numpy") for python in ("3.11", "3.13"))
    assert (of_3_11[0], of_3_13[0]) == ("1.23.2", "2.1.0")
    assert of_3_11.index("1.26.4") < of_3_11.index("2.0.0") < of_3_11.index("2.4.6")
    assert "4.46.0" not in question().releases("transformers"), "it was yanked"
    assert question({"torchvision": "0.28.0"}).releases("torchvision")[-1].endswith("+cpu")


def test_of_a_package_that_the_index_does_not_have_the_versions_of_known_fixes_and_cells_can_be_chosen() -> None:
    assert question().releases("pyarrow") == ("25.0.0",)
    assert question(wanted={"pyarrow": ">=24.0"}).releases("pyarrow") == ("24.0", "25.0.0")
    assert question(wanted={"PyArrow": "<26", "psutil": "==6.*"}).releases("psutil") == ("6",)
    assert question(wanted={"PSUtil": "~=6.1"}).releases("psutil") == ("6.1",)
    assert question(wanted={"psutil": ">=6,<8"}).releases("psutil") == ("6",)
    assert question(wanted={"psutil": ">=5.9,!=6.0"}).releases("psutil") == ("5.9",)
    assert question().releases("psutil") == ()
    assert question(wanted={"psutil": ">=10"}).releases("psutil") == ("10",)


def test_without_an_index_the_measured_versions_can_be_chosen_the_oldest_first() -> None:
    measured = matrix(*(cell("2.13.0", "4.57.6", peft) for peft in ("0.10.0", "0.9.0", "0.18.1")))
    assert question(known=measured).releases("peft") == ("0.9.0", "0.10.0", "0.18.1")


def test_date_of_a_release_is_known_for_releases_of_the_index_alone() -> None:
    asked = question({"peft": "99.0"})
    assert question({"peft": "0.13"}).release_date("peft") == SHIPPED.wheels.releases["peft"]["0.13.0"].date
    assert asked.release_date("torch") == SHIPPED.wheels.releases["torch"]["2.13.0"].date != ""
    assert [asked.release_date(name) for name in ("peft", "psutil", "trl")] == ["", "", ""], "new, unknown, not there"
    assert question({"psutil": "6.0"}).release_date("psutil") == ""


def test_release_can_be_installed_unless_it_was_yanked_is_unknown_or_has_no_wheel() -> None:
    asked = question(python="3.13")
    assert asked.is_installable("numpy", "2.1.0")
    assert not asked.is_installable("numpy", "1.26.4")
    assert not asked.is_installable("numpy", "99.0")
    assert not asked.is_installable("transformers", "4.46.0")
    assert asked.is_installable("psutil", "0.1"), "nothing is known about its releases"
    anywhere = listed({"numpy": "2.1.0"}, python=None)
    assert anywhere.is_installable("numpy", "1.26.4")
    assert not anywhere.is_installable("transformers", "4.46.0")


def test_version_is_installed_however_it_is_written() -> None:
    asked = question()
    assert asked.is_installed("peft", "0.21.2.0")
    assert not asked.is_installed("peft", "0.21.1")
    assert not asked.is_installed("psutil", "6.0")


def test_door_that_was_not_measured_does_not_count_against_a_remedy() -> None:
    asked = question({"trl": "1.0.0", "datasets": "5.2.0"}, doors=("grpo",))
    judgement = asked.judged({})
    assert judgement.verdict is Verdict.UNVERIFIED
    assert asked.is_solved_by({})
