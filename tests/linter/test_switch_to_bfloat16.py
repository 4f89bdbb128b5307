"""A fixture project with the structure of VideoChat2 is switched to bfloat16: completely, and by halves.

The linter diagnoses and fixes it. The probe trains it, to show that the linter is right about the half-made switches.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import Ran
from vc2doctor.linter.analyse.recipe import recipes_of, riskiest_recipe
from vc2doctor.linter.fix.rewrite import rewrite
from vc2doctor.linter.fix.transaction import fix
from vc2doctor.linter.model import CodeFinding, FixResult
from vc2doctor.linter.run import LintResult, LintTask, apply_rules

if TYPE_CHECKING:
    from vc2doctor.linter.model import Edit

FIXTURES = Path(__file__).parent / "fixtures"
STACK = ("torch==2.13.0", "transformers==5.23.0", "peft==0.21.2")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the fixture project, as it was shipped."""
    return Path(shutil.copytree(FIXTURES / "project", tmp_path / "project"))


def lint(project: Path) -> LintResult:
    return apply_rules(LintTask(paths=(project,)))


def diagnosed_places(result: LintResult) -> tuple[CodeFinding, ...]:
    (diagnosis,) = result.diagnoses
    return diagnosis.places


def switch(project: Path, *, write: bool = True) -> tuple[FixResult, LintResult]:
    """Make the complete switch to bfloat16."""
    task = LintTask(paths=(project,), precision="bf16")
    return fix(task, apply_rules(task), unsafe=False, write=write)


def switch_only(project: Path, *roles: str) -> None:
    """Make only the part of the switch that these roles are."""
    edits: dict[str, list[Edit]] = {}
    for place in diagnosed_places(lint(project)):
        for edit in place.bf16_edits if place.role in roles else ():
            edits.setdefault(edit.path, []).append(edit)
    for name, file_edits in edits.items():
        path = project / name
        path.write_text(rewrite(path.read_text(encoding="utf-8"), file_edits, is_python=True), encoding="utf-8")


def replace_in(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def contents(project: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_diagnosis_has_every_place_and_the_deciding_one_is_first(project: Path) -> None:
    (diagnosis,) = lint(project).diagnoses
    assert "half way to bfloat16" in diagnosis.title
    assert str(sum(len(finding.places) for finding in diagnosis.places)) in diagnosis.title
    by_role = [(finding.role, place.location) for finding in diagnosis.places for place in finding.places]
    assert by_role[0] == ("helper", "models/base.py:12")
    assert {location for role, location in by_role if role == "weights"} == {
        *("models/it_hd_mistral.py:14", "models/it_hd_mistral.py:17", "models/it_mistral.py:20"),
        *("models/it_mistral.py:23", "models/it_mistral.py:29", "models/pt_mistral.py:18"),
        *("models/pt_mistral.py:21", "models/pt_mistral.py:27"),
    }
    assert {location for role, location in by_role if role == "outer"} == {
        "tasks/train_it.py:11",
        "tasks/train_pt.py:11",
    }
    assert {location for role, location in by_role if role == "scaler"} == {"tasks/shared_utils.py:16"}
    assert {location for role, location in by_role if role == "config"} == {
        f"configs/stage{stage}.py:18" for stage in (2, 3, 4)
    }
    assert all(finding.if_missed for finding in diagnosis.places)


def test_evidence_of_a_region_names_the_entry_points_and_what_is_around_it(project: Path) -> None:
    evidence = {
        finding.path: finding.evidence for finding in diagnosed_places(lint(project)) if finding.role == "region"
    }
    stage3 = "started by tasks/train_it.py (scripts/run_stage3.sh:1): the region around it is float16"
    assert stage3 in evidence["models/it_mistral.py"]
    stage4 = "started by tasks/train_it_ds.py (scripts/run_stage4.sh:1): the region around it is bfloat16"
    assert stage4 in evidence["models/it_hd_mistral.py"]


def test_inference_code_is_neither_reported_nor_changed(project: Path) -> None:
    assert not [finding for finding in lint(project).findings if (finding.path or "").startswith("demo/")]
    before = (project / "demo" / "answer.py").read_text(encoding="utf-8")
    switch(project)
    assert (project / "demo" / "answer.py").read_text(encoding="utf-8") == before


def test_switch_changes_every_place_and_nothing_else(project: Path) -> None:
    result, after = switch(project)
    assert result.written
    assert not result.refused
    assert not after.diagnoses
    assert not [finding for finding in lint(project).findings if finding.cause is not None]
    text = {path.relative_to(project).as_posix(): path.read_text(encoding="utf-8") for path in project.rglob("*.py")}
    assert "def maybe_autocast(self, dtype=torch.bfloat16):" in text["models/base.py"]
    assert "torch.bfloat16 if none is" in text["models/base.py"]
    assert text["models/it_mistral.py"].count("torch_dtype=torch.bfloat16,") == 2
    assert "torch.bfloat16 if self.llm_bf16 else torch.float16" in text["models/it_hd_mistral.py"]
    assert 'config.get("llm_bf16", True)' in text["models/it_hd_mistral.py"]
    assert "GradScaler(enabled=False)  # bfloat16 needs no loss scaling" in text["tasks/shared_utils.py"]
    assert "GradScaler(enabled=config.fp16)" in text["tasks/shared_utils_ds.py"]
    assert all("fp16 = True\nbf16 = True" in text[f"configs/stage{stage}.py"] for stage in (2, 3, 4))
    assert all("max_grad_norm=-1" in text[f"configs/stage{stage}.py"] for stage in (2, 3, 4))
    assert "nothing is generated here" in text["models/it_mistral.py"]


def test_second_switch_changes_nothing(project: Path) -> None:
    switch(project)
    second, _ = switch(project)
    assert not second.files
    assert not second.refused


def test_diff_writes_nothing(project: Path) -> None:
    before = contents(project)
    result, _ = switch(project, write=False)
    assert result.files
    assert not result.written
    assert before == contents(project)


def test_switch_is_refused_if_a_configuration_keeps_a_place_in_float16(project: Path) -> None:
    replace_in(project / "configs" / "stage4.py", "width=16,", "width=16,\n    llm_bf16=False,")
    before = contents(project)
    result, _ = switch(project)
    assert not result.written
    assert any("models/it_hd_mistral.py:17" in reason for reason in result.refused)
    assert before == contents(project)


def test_switch_is_refused_if_a_file_cannot_be_read(project: Path) -> None:
    (project / "models" / "more.py").write_text("with torch.autocast('cuda'):\nprint 'two'\n", encoding="utf-8")
    result, _ = switch(project)
    assert not result.written
    assert any(reason.startswith("models/more.py:1: not read") for reason in result.refused)


def test_notebook_is_left_out_of_safe_fixes_and_a_switch_of_it_is_refused(project: Path) -> None:
    source = (
        "import torch\nfrom torch.cuda.amp import GradScaler\n\n\ndef train(model, batch):\n"
        "    with torch.cuda.amp.autocast():\n        loss = model(batch)\n    loss.backward()\n"
    )
    cells = [{"cell_type": "code", "source": source}]
    (project / "train.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    task = LintTask(paths=(project,))
    safe_fix, _ = fix(task, apply_rules(task), unsafe=False, write=True)
    assert safe_fix.written
    result, _ = switch(project)
    outcomes = {program.name: program.outcome for program in result.programs}
    assert outcomes["train.ipynb"] == "refused"
    assert outcomes["tasks/train_it.py (scripts/run_stage3.sh)"] == "fixed"
    assert any(
        reason.startswith("train.ipynb#cell1:6") and "notebooks are not edited" in reason for reason in result.refused
    )


def test_switch_is_refused_if_a_file_cannot_be_edited(project: Path) -> None:
    path = project / "models" / "base.py"
    path.write_text(path.read_text(encoding="utf-8") + f"\n\nTOTAL = 1{' + 1' * 450}\n", encoding="utf-8")
    before = contents(project)
    result, _ = switch(project)
    assert not result.written
    assert any("models/base.py: it is nested too deeply to be edited" in reason for reason in result.refused)
    assert before == contents(project)


def test_bfloat16_weights_with_fp16_off_are_errors_because_the_helper_stays_float16(project: Path) -> None:
    """This is the switch that the report asked about. It is worse than before: the loss is no longer scaled."""
    switch_only(project, "weights")
    for path in (project / "configs").iterdir():
        replace_in(path, "fp16 = True", "fp16 = False")
    result = lint(project)
    errors = {
        (finding.path, finding.line)
        for finding in result.findings
        if finding.id == "VC103" and finding.severity.value == "error"
    }
    assert {("models/it_mistral.py", 46), ("models/it_mistral.py", 53)} <= errors
    (diagnosis,) = result.diagnoses
    assert diagnosis.places[0].role == "helper"


def test_recipe_of_each_entry_point_is_what_its_code_trains_in(project: Path) -> None:
    recipes = recipes_of(lint(project).facts)
    assert recipes == {
        "tasks/train_it.py": "fp16-scaled",
        "tasks/train_pt.py": "fp16-scaled",
        "tasks/train_it_ds.py": "bf16-in-fp16-autocast",
    }
    assert riskiest_recipe(recipes) == "bf16-in-fp16-autocast"
    switch(project)
    assert set(recipes_of(lint(project).facts).values()) == {"bf16"}


ROWS: dict[tuple[str, ...], dict[str, str]] = {
    (): {"fp16-scaled": "A", "bf16-scaled": "D"},
    ("weights",): {"fp32": "B", "fp16-scaled": "C"},
    ("helper",): {"fp16-scaled": "E"},
    ("weights", "helper"): {"fp16-scaled": "F", "bf16-scaled": "G"},
}
"""Roles that are switched → recipe of the outer region and the scaler → row of the table in docs/lint.md."""
ROWS_WITHOUT_STEPS, ROWS_WITH_POISONED_STEPS = {"A", "C", "D"}, {"B"}


def probed_recipes(doctor: Callable[..., Ran], python: Path, project: Path, precision: str) -> dict[str, Any]:
    """Train the project with the probe, and return what each recipe did."""
    shutil.copy(FIXTURES / "adapter.py", project / "adapter.py")
    ran = doctor(
        *("probe", "--python", str(python), "--entry", "adapter:build", "--precision", precision),
        *("--recipes", "fp32,fp16-scaled,bf16-scaled,bf16", "--format", "json"),
        cwd=project,
    )
    return {recipe["recipe"]: recipe for recipe in json.loads(ran.out)["probe"]["recipes"]}


@pytest.mark.stack
@pytest.mark.parametrize("roles", ROWS, ids=lambda roles: "+".join(roles) or "as shipped")
def test_half_made_switch_trains_as_the_table_says(
    roles: tuple[str, ...], project: Path, doctor: Callable[..., Ran], stack_of: Callable[..., Path]
) -> None:
    """A float16 helper makes the loss NaN. With a scaler no step is taken; without one the weights become NaN, too."""
    if roles:
        switch_only(project, *roles)
    recipes = probed_recipes(doctor, stack_of(*STACK), project, "fp16-scaled")
    for name, row in ROWS[roles].items():
        recipe = recipes[name]
        message = f"row {row}: {recipe['description']}"
        is_non_finite = row in ROWS_WITHOUT_STEPS | ROWS_WITH_POISONED_STEPS
        assert recipe["outcome"] == ("non-finite" if is_non_finite else "finite"), message
        if row in ROWS_WITHOUT_STEPS:
            assert (recipe["steps_taken"], recipe["steps_skipped"] > 0) == (0, True), message
        if row in ROWS_WITH_POISONED_STEPS:
            assert recipe["steps_taken"] > 0, message
    if "helper" not in roles:
        # The linter says of the same code that the helper decides.
        assert diagnosed_places(lint(project))[0].role == "helper"


@pytest.mark.stack
def test_complete_switch_trains(project: Path, doctor: Callable[..., Ran], stack_of: Callable[..., Path]) -> None:
    switch(project)
    recipes = probed_recipes(doctor, stack_of(*STACK), project, "bf16")
    assert recipes["bf16"]["outcome"] == "finite", recipes["bf16"]["description"]
    assert recipes["bf16"]["last_loss"] < recipes["bf16"]["first_loss"]
