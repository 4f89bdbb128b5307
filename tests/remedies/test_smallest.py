"""The smallest change that works: the culprit, little else, and nothing that runs into the next conflict."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from tests.facts import SHIPPED, cell, matrix
from vc2doctor.matrix.judge import Combination, Verdict
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.remedies.question import Goal, Question, Requires
from vc2doctor.remedies.smallest import nearest_measured, smallest_remedies

GOOD = {
    "torch": "2.13.0+cpu",
    "transformers": "5.23.0",
    "peft": "0.21.2",
    "accelerate": "1.15.0",
    "numpy": "2.4.6",
    "tokenizers": "0.23.3",
    "safetensors": "0.8.0",
    "huggingface-hub": "2.4.0",
    "jinja2": "3.1.6",
    "triton": "3.7.1",
    "setuptools": "84.2.1",
}
"""A measured set: all of these train together."""
OLD = {"transformers": "4.36.2", "tokenizers": "0.15.2", "huggingface-hub": "0.36.2"}
"""The companions of an older transformers, as pip resolves them."""


def question(
    changed: dict[str, str] | None = None,
    *,
    python: str = "3.11",
    known: Matrix = SHIPPED,
    **goal: Any,  # noqa: ANN401
) -> Question:
    """Return the question of an environment with ``GOOD`` and other versions of some packages."""
    versions = {**GOOD, **(changed or {})}
    combination = Combination(python=python, versions=versions)
    bare = Question(combination=combination, matrix=known, goal=Goal(**{"recipe": "bf16", **goal}))
    # In a real environment, the metadata says what the release is known to require.
    requires = tuple(entry for name, text in versions.items() for entry in bare.requires_of(name, text))
    return Question(combination=combination, matrix=known, goal=bare.goal, requires=requires)


def requirements_of(asked: Question) -> list[tuple[str, ...]]:
    return [remedy.requirements for remedy in smallest_remedies(asked)]


def test_an_old_pyarrow_comes_before_a_new_numpy() -> None:
    """A new NumPy breaks other packages of an old set: three public reports that were rebuilt did not train with it."""
    versions = {**OLD, "transformers": "4.41.2", "tokenizers": "0.19.1", "huggingface-hub": "0.23.5"}
    versions |= {"peft": "0.11.1", "accelerate": "0.31.0", "numpy": "1.26.4", "datasets": "2.19.1", "pyarrow": "26.0.0"}
    first, *_ = requirements_of(question(versions, doors=("trainer",)))
    assert first == ("pyarrow==25.0.0",)


def test_versions_that_work_need_no_remedy() -> None:
    assert requirements_of(question()) == []


CULPRITS = [
    ({"huggingface-hub": "0.36.0"}, ("huggingface-hub==1.31.0",)),
    ({"tokenizers": "0.19.1"}, ("tokenizers==0.23.3",)),
    ({"accelerate": "0.20.3"}, ("accelerate==1.3.0",)),
    ({"accelerate": "0.31.0"}, ("accelerate==1.3.0",)),
    ({"safetensors": "0.4.3"}, ("safetensors==0.8.0",)),
    ({"numpy": "1.16.0"}, ("numpy==1.23.2",)),
    ({"peft": "0.17.0"}, ("peft==0.18.0",)),
    ({"transformers": "4.40.1"}, ("transformers==5.18.0",)),
    ({"bitsandbytes": "0.44.0"}, ("bitsandbytes==0.45.1",)),
    ({"deepspeed": "0.14.0"}, ("deepspeed==0.14.4",)),
    ({"torchvision": "0.20.1"}, ("torchvision==0.28.0+cpu",)),
    ({"torch": "2.2.2"}, ("torch==2.6.0",)),
]


@pytest.mark.parametrize(("changed", "expected"), CULPRITS, ids=["-".join(*changed.items()) for changed, _ in CULPRITS])
def test_first_remedy_changes_the_culprit_alone(changed: dict[str, str], expected: tuple[str, ...]) -> None:
    assert requirements_of(question(changed))[0] == expected


def test_conflict_of_two_main_packages_lowers_one_or_raises_the_other() -> None:
    # The Trainer of transformers 4.36 does not work with this accelerate either, so lowering peft alone is not enough.
    # transformers 4.43 would have what this peft imports, and not what it reads of torch.
    # transformers 4.48.0 is passed over: it accumulates gradients wrongly, a known issue.
    assert requirements_of(question(OLD)) == [
        ("peft==0.13.2", "accelerate==0.34.2"),
        ("transformers==4.48.1", "tokenizers==0.21.0"),
    ]


def test_several_conflicts_get_one_change() -> None:
    asked = question({"accelerate": "0.20.3", "huggingface-hub": "0.36.0"})
    assert requirements_of(asked)[0] == ("accelerate==1.3.0", "huggingface-hub==1.31.0")


def test_remedy_does_not_lead_to_the_next_warning() -> None:
    # transformers 4.36 wants accelerate below 1.0 in its Trainer, so the older accelerate must not become 1.3.
    asked = question({**OLD, "peft": "0.13.2", "accelerate": "0.20.3"})
    assert requirements_of(asked)[0] == ("accelerate==0.21.0",)


def test_avoided_issue_is_resolved_without_a_new_one() -> None:
    asked = question({"trl": "0.14.0", "datasets": "5.2.0"}, avoided=("trl-new-transformers",))
    (first, *_) = requirements_of(asked)
    assert first == ("trl==0.15.0",)


def test_wanted_release_is_the_nearest_one_that_works() -> None:
    assert requirements_of(question(wanted={"accelerate": "<1.10"}))[0] == ("accelerate==1.9.0",)


def test_release_without_a_wheel_for_this_python_is_not_chosen() -> None:
    for remedy in smallest_remedies(question(OLD, python="3.13")):
        for name, text in remedy.changes.items():
            assert SHIPPED.wheels.releases[name][text].supports("3.13"), (name, text)


def test_missing_package_is_installed_in_the_newest_release_that_fits() -> None:
    versions = {name: text for name, text in GOOD.items() if name != "peft"}
    combination = Combination(python="3.11", versions=versions)
    asked = Question(combination=combination, matrix=SHIPPED, goal=Goal(recipe="bf16"))
    assert requirements_of(asked)[0] == ("peft==0.21.2",)


def test_missing_companion_that_is_required_is_installed() -> None:
    asked = question()
    versions = {name: text for name, text in GOOD.items() if name != "safetensors"}
    combination = Combination(python="3.11", versions=versions)
    asked = Question(combination=combination, matrix=SHIPPED, goal=asked.goal, requires=asked.requires)
    assert requirements_of(asked)[0] == ("safetensors==0.8.0",)


def test_requirement_of_an_unknown_package_stays_met() -> None:
    # A package beside the stack holds huggingface-hub below 1, so transformers has to follow.
    asked = question({**OLD, "peft": "0.21.2"})
    held = asked.model_copy(update={"requires": (*asked.requires, Requires("gradio", "huggingface-hub", "<1.0"))})
    for remedy in smallest_remedies(held):
        hub = remedy.changes.get("huggingface-hub", OLD["huggingface-hub"])
        assert hub.startswith("0."), remedy


def test_recipe_decides_what_works() -> None:
    asked = question({**OLD, "transformers": "4.40.1", "tokenizers": "0.19.1", "peft": "0.10.0"}, recipe="fp16-scaled")
    assert requirements_of(asked)[0] == ("peft==0.12.0",)


def test_newer_torch_than_measured_is_changed_back() -> None:
    (first, *_) = requirements_of(question({"torch": "2.16.0"}))
    assert first[0].startswith("torch==")


def test_nothing_measured_leaves_no_remedy() -> None:
    assert requirements_of(question(OLD, known=matrix())) == []
    assert nearest_measured(question(OLD, known=matrix())) is None


def test_set_measured_under_the_same_python_is_the_nearest() -> None:
    under_3_10 = {"python": "3.10", "torch": "2.13.0", "transformers": "4.40.1", "peft": "0.10.0"}
    cells = matrix(cell("2.13.0", "4.57.6", "0.18.1"), cell("2.13.0", "4.40.1", "0.10.0", cell=under_3_10))
    older, newer = (nearest_measured(question(OLD, python=python, known=cells)) for python in ("3.10", "3.11"))
    assert older is not None
    assert older.requirements == ("transformers==4.40.1", "peft==0.10.0")
    assert newer is not None
    assert newer.requirements == ("transformers==4.57.6", "peft==0.18.1")
    assert "under Python 3.11" in newer.reason


@pytest.mark.parametrize("issue", SHIPPED.issues, ids=[issue.id for issue in SHIPPED.issues])
def test_every_fix_of_a_known_issue_names_a_version_that_can_be_chosen(issue: KnownIssue) -> None:
    asked = question()
    for fix in issue.fix:
        # The newest release of a package that is only missing is what the installer chooses.
        for text in () if fix == (issue.undeclared,) else fix:
            requirement = Requirement(text)
            assert any(map(requirement.specifier.contains, asked.releases(requirement.name))), text


CHANGEABLE = ("transformers", "peft", "accelerate", "huggingface-hub", "tokenizers", "safetensors", "numpy")


def draw(seed: int) -> Question:
    """Return the question of a broken set: one to three packages of the good one in another release, by chance."""
    generator = random.Random(seed)  # noqa: S311 - not for secrets
    while True:
        packages = generator.sample(CHANGEABLE, generator.choice((1, 1, 2, 3)))
        asked = question({name: generator.choice(question().releases(name)) for name in packages})
        if not asked.is_solved_by({}) and asked.judged({}).verdict is not Verdict.UNVERIFIED:
            return asked


@settings(max_examples=25)
@given(st.integers(min_value=0, max_value=10_000))
def test_every_remedy_leads_to_versions_that_work(seed: int) -> None:
    asked = draw(seed)
    remedies = smallest_remedies(asked)
    assert remedies, asked.combination
    for remedy in remedies:
        assert asked.judged(remedy.changes).verdict in {Verdict.VERIFIED, Verdict.COMPATIBLE}
        assert asked.unmet_after(remedy.changes) == []
        assert all(asked.is_installable(name, text) for name, text in remedy.changes.items())
    assert "torch" not in remedies[0].changes


@pytest.mark.parametrize("seed", range(3))
def test_no_smaller_change_exists(seed: int) -> None:
    asked = draw(seed)
    first = smallest_remedies(asked)[0].changes
    for size in range(1, len(first)):
        for names in itertools.combinations(CHANGEABLE, size):
            for texts in itertools.product(*(asked.releases(name) for name in names)):
                changes = dict(zip(names, texts, strict=True))
                assert not asked.is_solved_by(changes), changes


def test_search_is_deterministic() -> None:
    assert requirements_of(draw(7)) == requirements_of(draw(7))
