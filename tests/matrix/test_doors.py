"""Verdicts by door: what rules one door out leaves the others alone."""

from __future__ import annotations

import pytest

from tests.facts import SHIPPED, cell
from vc2doctor.curate.compile import CompileError, compile_matrix
from vc2doctor.matrix.compiled import Constraint
from vc2doctor.matrix.doors import DOORS_NOT_MEASURED, excluded, open_doors, title, with_doors
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.judge import Combination, Judgement, Verdict, judge, possible_conflicts
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.releases import NO_WHEELS, ProvidedSymbol, Refusal, Release, RequiredSymbol, Wheels
from vc2doctor.matrix.verdict import DoorJudgement
from vc2doctor.target.shared.recipes import RECIPES

RELEASES = {
    "torch": ("2.13.0",),
    "transformers": ("4.40.0", "4.57.0", "5.5.0"),
    "peft": ("0.6.0", "0.10.0", "0.19.0"),
    "accelerate": ("0.21.0", "1.15.0"),
    "trl": ("0.9.0", "0.15.0", "0.30.0"),
    "torchao": ("0.15.0", "0.16.0"),
}
STACK = {"torch": "2.13.0", "transformers": "4.57.0", "peft": "0.10.0"}


def required(package: str, provider: str, symbol: str, first: str, door: str, **when: str) -> RequiredSymbol:
    return RequiredSymbol(
        package=package,
        module=provider,
        symbol=symbol,
        file=f"{package}/x.py",
        releases=((first, RELEASES[package][-1]),),
        door=door,
        when=when,
    )


def provided(package: str, symbol: str, first: str, last: str) -> ProvidedSymbol:
    return ProvidedSymbol(package=package, module=package, symbol=symbol, releases=((first, last),))


WHEELS = Wheels(
    date="2026-11-27",
    releases={name: {text: Release(date="2026-01-01") for text in texts} for name, texts in RELEASES.items()},
    required=(
        required("transformers", "peft", "Mixed", "4.57.0", "trainer"),
        required("transformers", "accelerate", "is_mlu", "4.57.0", "trainer", accelerate=">=0.20"),
        required("trl", "transformers", "VISION", "0.15.0", "dpo"),
    ),
    provided=(
        provided("peft", "Mixed", "0.10.0", "0.19.0"),
        provided("accelerate", "is_mlu", "1.15.0", "1.15.0"),
        provided("transformers", "VISION", "4.40.0", "4.57.0"),
    ),
    refusals=(
        Refusal(package="peft", when={"torchao": "<0.16.0"}, file="peft/y.py", releases=(("0.19.0", "0.19.0"),)),
    ),
)


def line(transformers: str, peft: str, **doors: str) -> EvidenceLine:
    return cell("2.13.0", transformers, peft, doors=doors)


LINES = (line("4.40.0", "0.6.0"), line("5.5.0", "0.19.0"), line("5.5.0", "0.6.0"), line("4.40.0", "0.19.0"))


def matrix(*lines: EvidenceLine) -> Matrix:
    return Matrix(profiles={}, issues=(), verdicts=compile_matrix([*LINES, *lines], (), WHEELS))


MATRIX = matrix()


def judged(knowledge: Matrix, *doors: str, **versions: str) -> Judgement:
    named = {**STACK, "numpy": "2.4.6", "accelerate": "1.15.0", **versions}
    return judge(Combination(python="3.11", versions=named), knowledge, "bf16", doors)


def doors_of(judgement: Judgement) -> dict[str, Verdict]:
    return {entry.door: entry.verdict for entry in judgement.doors}


def test_a_door_that_is_ruled_out_leaves_the_loop_alone() -> None:
    loop = judged(MATRIX, peft="0.6.0")
    assert loop.verdict is Verdict.COMPATIBLE
    assert doors_of(loop)["trainer"] is Verdict.INCOMPATIBLE
    (reason,) = excluded(loop)
    assert reason == (
        "not with transformers.Trainer: transformers >=4.57.0 imports Mixed of peft (in transformers/x.py), "
        "which peft has from 0.10.0"
    )


def test_a_door_that_matters_decides_the_verdict() -> None:
    judgement = judged(MATRIX, "trainer", peft="0.6.0")
    assert judgement.verdict is Verdict.INCOMPATIBLE
    assert judgement.reason.startswith("transformers.Trainer fails: transformers >=4.57.0 imports Mixed of peft")
    assert judgement.constraints == ("transformers-from-4.57.0-peft-to-0.6.0-mixed-of-peft",)
    assert "trainer" not in doors_of(judgement)
    assert judged(MATRIX, "trainer", peft="0.10.0").verdict is Verdict.COMPATIBLE


def test_a_door_needs_what_the_doors_on_the_way_to_it_need() -> None:
    judgement = judged(MATRIX, "sft", peft="0.6.0", trl="0.9.0")
    assert judgement.verdict is Verdict.INCOMPATIBLE
    assert "Mixed of peft" in judgement.reason


def test_a_constraint_of_one_door_does_not_concern_its_sibling() -> None:
    judgement = judged(MATRIX, "trainer", transformers="5.5.0", trl="0.15.0", datasets="5.2.0")
    assert judgement.verdict is Verdict.COMPATIBLE
    verdicts = doors_of(judgement)
    # No constraint rules the sibling out, but nobody measured a trainer of trl either.
    assert (verdicts["dpo"], verdicts["sft"]) == (Verdict.INCOMPATIBLE, Verdict.UNVERIFIED)
    assert doors_of(judged(MATRIX, transformers="5.5.0", trl="0.9.0", datasets="5.2.0"))["dpo"] is Verdict.UNVERIFIED


def test_doors_whose_packages_are_not_installed_are_not_judged() -> None:
    assert set(doors_of(judged(MATRIX))) == {"accelerate", "trainer", "adapter", "ddp"}
    assert {"sft", "dpo", "grpo"} <= set(doors_of(judged(MATRIX, trl="0.30.0", datasets="5.2.0")))


def test_of_an_incomplete_combination_the_doors_that_are_ruled_out_are_judged() -> None:
    versions = {"torch": "2.13.0", "transformers": "4.57.0", "peft": "0.6.0"}
    judgement = judge(Combination(python=None, versions=versions, installed=False), MATRIX, "bf16")
    assert doors_of(judgement) == dict.fromkeys(("trainer", "sft", "dpo", "grpo"), Verdict.INCOMPATIBLE)


def test_what_the_importing_package_asks_for_first_limits_the_region() -> None:
    (constraint,) = [entry for entry in MATRIX.verdicts.constraints if "is_mlu" in entry.reason]
    assert (constraint.door, constraint.when) == ("trainer", {"transformers": ">=4.57.0", "accelerate": "<=0.21.0"})


def test_a_version_that_a_package_refuses_rules_the_loop_out() -> None:
    assert judged(MATRIX, peft="0.19.0", torchao="0.16.0").verdict is Verdict.COMPATIBLE
    refused = judged(MATRIX, peft="0.19.0", torchao="0.15.0")
    assert refused.verdict is Verdict.INCOMPATIBLE
    assert refused.reason == "peft >=0.19.0 raises an error with torchao <0.16.0 (in peft/y.py)"
    assert refused.doors == ()


def test_a_cell_does_not_refute_what_is_about_a_package_that_it_did_not_have() -> None:
    known = {"transformers": "5.5.0", "peft": "0.19.0"}
    assert judged(MATRIX, **known).verdict is Verdict.VERIFIED
    assert judged(MATRIX, **known, torchao="0.15.0").verdict is Verdict.INCOMPATIBLE


def test_a_line_without_outcomes_of_doors_verifies_the_plain_loop_only() -> None:
    known = {"transformers": "5.5.0", "peft": "0.19.0"}
    assert judged(MATRIX, **known).verdict is Verdict.VERIFIED
    judgement = judged(MATRIX, "trainer", **known)
    assert judgement.verdict is Verdict.COMPATIBLE
    assert judgement.reason.endswith("not measured with these versions: transformers.Trainer")


def test_a_door_that_was_measured_to_pass_is_verified() -> None:
    known = {"transformers": "5.5.0", "peft": "0.10.0"}
    knowledge = matrix(line(*known.values(), trainer="passed", dpo="failed"))
    assert judged(knowledge, "trainer", **known).verdict is Verdict.VERIFIED
    judgement = judged(knowledge, "trainer", "dpo", **known)
    assert judgement.verdict is Verdict.INCOMPATIBLE
    assert judgement.reason == "trl's DPOTrainer fails: trl's DPOTrainer was measured, and failed"


def measured(
    *, asked: tuple[str, ...] = (), beside: dict[str, str] | None = None, numpy: str = "2.4.6", **doors: str
) -> EvidenceLine:
    """Return a cell of one stack, with packages beside it."""
    known = cell("2.13.0", "5.5.0", "0.10.0", doors=doors, asked=asked)
    return known.model_copy(update={"door_packages": beside or {}, "resolved": {**known.resolved, "numpy": numpy}})


def test_a_door_that_failed_with_a_package_of_its_own_says_nothing_about_a_list_without_it() -> None:
    failed = measured(asked=("numpy==1.26.3",), numpy="1.26.3", trainer="failed")
    versions = {"torch": "2.13.0", "transformers": "5.5.0", "peft": "0.10.0"}
    for lines in ([failed], [failed, measured(trainer="passed")], [measured(trainer="passed"), failed]):
        listed = Combination(python="3.11", versions=versions, installed=False)
        assert judge(listed, matrix(*lines), "bf16", ("trainer",)).verdict is not Verdict.INCOMPATIBLE
        named = Combination(python="3.11", versions={**versions, "numpy": "1.26.3"}, installed=False)
        assert judge(named, matrix(*lines), "bf16", ("trainer",)).verdict is Verdict.INCOMPATIBLE


def test_a_door_is_measured_with_the_packages_that_only_it_needs() -> None:
    known = {"transformers": "5.5.0", "peft": "0.10.0"}
    new, old = {"datasets": "5.2.0", "pyarrow": "26.0.1"}, {"datasets": "5.2.0", "pyarrow": "20.0.0"}
    knowledge = matrix(measured(trainer="passed"), measured(beside=new, trainer="failed"))
    assert judged(knowledge, "trainer", **known, **new).verdict is Verdict.INCOMPATIBLE
    assert judged(knowledge, "trainer", **known, **old).verdict is Verdict.VERIFIED
    assert judged(knowledge, "trainer", **known).verdict is Verdict.VERIFIED


def test_a_passed_door_does_not_refute_what_is_about_a_package_that_its_cell_did_not_have() -> None:
    known = {"transformers": "5.5.0", "peft": "0.10.0", "datasets": "2.14.4", "pyarrow": "26.0.1"}
    knowledge = matrix(measured(trainer="passed"))
    issue = next(entry for entry in SHIPPED.issues if entry.id == "datasets-pyarrow-extension-type")
    verdicts = compile_matrix([*LINES, measured(trainer="passed")], (issue,), WHEELS)
    assert judged(knowledge, "trainer", **known).verdict is Verdict.VERIFIED
    assert judged(Matrix(profiles={}, issues=(issue,), verdicts=verdicts), "trainer", **known).verdict is (
        Verdict.INCOMPATIBLE
    )


def test_a_measured_door_that_contradicts_a_constraint_is_an_error() -> None:
    with pytest.raises(CompileError, match=r"imports Mixed of peft.*but cell 2\.13\.0-4\.57\.0-0\.6\.0 trains"):
        matrix(line("4.57.0", "0.6.0", trainer="passed"))
    matrix(line("4.57.0", "0.6.0", accelerate="passed"))


def test_possible_conflicts_are_those_of_the_loop_and_of_the_doors_that_matter() -> None:
    combination = Combination(python=None, versions=STACK, installed=False)
    assert not any("is_mlu" in entry.reason for entry in possible_conflicts(combination, MATRIX, "bf16"))
    conflicts = possible_conflicts(combination, MATRIX, "bf16", ("sft",))
    assert [entry.where for entry in conflicts if "is_mlu" in entry.reason] == ["with accelerate <=0.21.0"]


def test_a_package_that_must_be_absent_for_the_failure_is_named() -> None:
    asked = required("trl", "transformers", "probe() -> bool", "0.15.0", "dpo", weave="absent")
    wheels = WHEELS.model_copy(
        update={"required": (asked,), "provided": (provided("transformers", "probe() -> bool", "4.40.0", "4.57.0"),)}
    )
    knowledge = Matrix(profiles={}, issues=(), verdicts=compile_matrix(LINES, (), wheels))
    judgement = judged(knowledge, "dpo", transformers="5.5.0", trl="0.15.0")
    assert judgement.verdict is Verdict.INCOMPATIBLE
    assert judgement.reason == (
        "trl's DPOTrainer fails: trl >=0.15.0 takes what probe of transformers returns for true or false "
        "without weave (in trl/x.py), which transformers returns up to 4.57.0"
    )
    with_weave = judged(knowledge, "dpo", transformers="5.5.0", trl="0.15.0", weave="0.52")
    assert with_weave.verdict is Verdict.UNVERIFIED
    assert with_weave.uncertainty == f"{DOORS_NOT_MEASURED}: dpo"


def test_a_known_issue_of_one_door_leaves_the_loop_alone() -> None:
    versions = {"torch": "2.13.0", "transformers": "4.38.1", "peft": "0.9.0", "accelerate": "0.23.0"}
    combination = Combination(python="3.11", versions=versions, installed=False)
    assert judge(combination, SHIPPED, "bf16").verdict is Verdict.COMPATIBLE
    judgement = judge(combination, SHIPPED, "bf16", ("trainer",))
    assert judgement.verdict is Verdict.INCOMPATIBLE
    assert judgement.constraints == ("trainer-seedable-sampler-trainer",)
    assert judgement.issues == ()


@pytest.mark.parametrize(
    ("transformers", "accelerate", "fails"),
    [
        ("4.31.0", "1.0.0", False),
        ("4.32.0", "1.0.0", True),
        ("4.39.3", "1.15.0", True),
        ("4.39.3", "0.34.2", False),
        ("4.40.0", "1.15.0", False),
    ],
)
def test_the_keywords_of_accelerator_end_where_the_wheels_say(
    transformers: str, accelerate: str, *, fails: bool
) -> None:
    versions = {"torch": "2.13.0", "transformers": transformers, "peft": "0.8.2", "accelerate": accelerate}
    judgement = judge(Combination(python="3.11", versions=versions, installed=False), SHIPPED, "bf16", ("trainer",))
    assert any("dispatch-batches" in name for name in judgement.constraints) is fails


def test_a_known_issue_of_a_door_that_a_measurement_contradicts_is_an_error() -> None:
    issue = next(issue for issue in SHIPPED.issues if issue.id == "load-adapter-prefix-mapping")
    fails = line("5.5.0", "0.10.0", adapter="failed")
    (constraint,) = (
        each for each in compile_matrix([fails], (issue,), NO_WHEELS).constraints if each.id.startswith(issue.id)
    )
    assert (constraint.door, constraint.failed) == ("adapter", (fails.name,))
    with pytest.raises(CompileError, match="load-adapter-prefix-mapping"):
        compile_matrix([line("5.5.0", "0.10.0", adapter="passed")], (issue,), NO_WHEELS)


@pytest.mark.parametrize(
    ("transformers", "accelerate", "fails"),
    [("4.44.2", "0.33.0", False), ("4.45.0", "0.33.0", True), ("4.45.0", "0.30.0", True), ("4.45.0", "0.34.0", False)],
)
def test_optimizer_is_told_to_train_only_where_it_can(transformers: str, accelerate: str, *, fails: bool) -> None:
    versions = {"torch": "2.13.0", "transformers": transformers, "peft": "0.12.0", "accelerate": accelerate}
    judgement = judge(Combination(python="3.11", versions=versions, installed=False), SHIPPED, "bf16", ("trainer",))
    assert ("trainer-optimizer-train-trainer" in judgement.constraints) is fails


def test_a_failure_that_a_package_of_a_door_explains_says_nothing_about_the_stack() -> None:
    raised = {"type": "ImportError", "message": "torchao is too old", "package": "peft"}
    refused: dict[str, object] = {
        "recipes": dict.fromkeys(RECIPES, "error"),
        "failures": dict.fromkeys(RECIPES, raised),
        "adapter": "not reached",
    }
    fails = cell("2.13.0", "4.57.0", "0.19.0", door_packages={"torchao": "0.15.0"}, **refused)
    assert [each for each in matrix(fails).verdicts.constraints if each.kind == "behaviour"] == []
    unexplained = cell("2.13.0", "4.57.0", "0.19.0", door_packages={"torchao": "0.16.0"}, **refused)
    assert [each.kind for each in matrix(unexplained).verdicts.constraints].count("behaviour") == 1


def ruled_out(*regions: dict[str, str], recipes: tuple[str, ...] = (), door: str = "trainer") -> Matrix:
    """Return what is known if the Trainer was measured to pass with datasets beside it, and regions rule it out."""
    knowledge = matrix(measured(beside={"datasets": "5.2.0"}, trainer="passed"))
    constraints = [
        Constraint(id=f"c{number}", kind="behaviour", reason=f"reason {number}", when=when, door=door, recipes=recipes)
        for number, when in enumerate(regions)
    ]
    verdicts = knowledge.verdicts.model_copy(update={"constraints": (*knowledge.verdicts.constraints, *constraints)})
    return knowledge.model_copy(update={"verdicts": verdicts})


PASSED = {"transformers": "5.5.0", "peft": "0.10.0", "datasets": "5.2.0"}


@pytest.mark.parametrize("region", [{"transformers": ">=5"}, {"python": "==3.11"}, {"datasets": ">=5"}])
def test_a_passed_door_refutes_what_is_about_the_packages_that_its_cell_had(region: dict[str, str]) -> None:
    assert judged(ruled_out(region), "trainer", **PASSED).verdict is Verdict.VERIFIED
    assert judged(ruled_out(region), "trainer", **{**PASSED, "peft": "0.19.0"}).verdict is Verdict.INCOMPATIBLE


def test_a_constraint_of_a_door_concerns_the_recipes_that_fail() -> None:
    knowledge = ruled_out({"peft": ">=0.19"}, recipes=("fp16-scaled",))
    assert judged(knowledge, "trainer", **{**PASSED, "peft": "0.19.0"}).verdict is not Verdict.INCOMPATIBLE
    everywhere = ruled_out({"peft": ">=0.19"}, recipes=("bf16",))
    assert judged(everywhere, "trainer", **{**PASSED, "peft": "0.19.0"}).verdict is Verdict.INCOMPATIBLE


def test_two_reasons_of_several_are_told() -> None:
    knowledge = ruled_out({"peft": ">=0.19"}, {"peft": ">=0.18"}, {"peft": ">=0.17"})
    judgement = judged(knowledge, "trainer", **{**PASSED, "peft": "0.19.0"})
    assert judgement.reason == "transformers.Trainer fails: reason 0; reason 1"
    assert judgement.constraints == ("c0", "c1", "c2")


def test_a_door_is_open_if_the_loop_is() -> None:
    judgement = judged(MATRIX, torch="2.14.0")
    assert judgement.verdict is Verdict.UNVERIFIED
    trainer = next(entry for entry in judgement.doors if entry.door == "trainer")
    assert trainer.verdict is Verdict.UNVERIFIED
    assert trainer.reason == "transformers.Trainer was not measured with these versions, and no conflict is known"
    assert open_doors(judgement) == (), "the verdict itself is open"


def test_a_door_that_passed_is_told_beside_the_verdict_and_an_open_one_is_named() -> None:
    known = {"transformers": "5.5.0", "peft": "0.10.0", "datasets": "5.2.0", "trl": "0.9.0"}
    judgement = judged(matrix(measured(trainer="passed")), **known)
    trainer = next(entry for entry in judgement.doors if entry.door == "trainer")
    assert (trainer.verdict, trainer.reason) == (Verdict.VERIFIED, "transformers.Trainer was measured, and passed")
    assert "trl's SFTTrainer" in open_doors(judgement)
    assert "transformers.Trainer" not in open_doors(judgement)


def test_of_a_list_the_doors_of_a_package_that_it_names_are_judged() -> None:
    versions = {"torch": "2.13.0", "transformers": "5.5.0", "peft": "0.10.0"}
    stack, with_trl = (
        judge(Combination(python=None, versions=each, installed=False), MATRIX, "bf16")
        for each in (versions, {**versions, "trl": "0.9.0"})
    )
    assert "sft" not in doors_of(stack)
    assert doors_of(with_trl)["sft"] is Verdict.UNVERIFIED


def test_each_measured_set_is_compared_with_the_installed_packages() -> None:
    old, new = ({"datasets": "5.2.0", "pyarrow": pyarrow} for pyarrow in ("20.0.0", "26.0.1"))
    knowledge = matrix(measured(beside=old, trainer="passed"), measured(beside=new, trainer="failed"))
    assert judged(knowledge, "trainer", transformers="5.5.0", peft="0.10.0", **old).verdict is Verdict.VERIFIED
    assert judged(knowledge, "trainer", transformers="5.5.0", peft="0.10.0", **new).verdict is Verdict.INCOMPATIBLE


def test_a_cell_of_which_only_the_stack_is_known_says_nothing_about_an_environment() -> None:
    bare = measured(trainer="passed").model_copy(update={"resolved": {}})
    known = {"transformers": "5.5.0", "peft": "0.10.0"}
    assert judged(matrix(bare), "trainer", **known).verdict is not Verdict.VERIFIED
    listed = Combination(python="3.11", versions={**STACK, **known}, installed=False)
    assert judge(listed, matrix(bare), "bf16", ("trainer",)).verdict is Verdict.VERIFIED


@pytest.mark.parametrize("verdict", [Verdict.INCOMPATIBLE, Verdict.UNVERIFIED])
def test_conditions_of_the_loop_stay_beside_the_verdict_on_a_door(verdict: Verdict) -> None:
    loop = Judgement(verdict=Verdict.VERIFIED, reason="measured", conditions=("a defect of some training code",))
    judgement = with_doors(loop, [DoorJudgement(door="dpo", verdict=verdict, reason="x")])
    assert (judgement.verdict, judgement.conditions) == (verdict, loop.conditions)


def test_a_door_that_this_version_does_not_know_keeps_its_name() -> None:
    assert title("dpo") == "trl's DPOTrainer"
    assert title("ppo") == "ppo"
