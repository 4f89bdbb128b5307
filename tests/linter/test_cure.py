"""The fixture project has the structure of VideoChat2: its cure, whole and by halves, as linter and probe tell it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import Ran
from vc2doctor.linter.analyse.recipe import deciding, recipes_of
from vc2doctor.linter.fix.rewrite import rewrite
from vc2doctor.linter.fix.transaction import fix
from vc2doctor.linter.model import CodeFinding, FixResult
from vc2doctor.linter.run import LintResult, LintTask, judge

if TYPE_CHECKING:
    from vc2doctor.linter.model import Edit

FIXTURES = Path(__file__).parent / "fixtures"
STACK = ("torch==2.13.0", "transformers==5.23.0", "peft==0.21.2")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the fixture project, as it was shipped."""
    return Path(shutil.copytree(FIXTURES / "project", tmp_path / "project"))


def look(project: Path) -> LintResult:
    return judge(LintTask(paths=(project,)))


def places(judged: LintResult) -> tuple[CodeFinding, ...]:
    (diagnosis,) = judged.diagnoses
    return diagnosis.places


def remedy(project: Path, *, write: bool = True) -> tuple[FixResult, LintResult]:
    request = LintTask(paths=(project,), precision="bf16")
    return fix(request, judge(request), unsafe=False, write=write)


def mend_only(project: Path, *roles: str) -> None:
    """Make the half of the cure that these roles are."""
    edits: dict[str, list[Edit]] = {}
    for place in places(look(project)):
        if place.role in roles:
            for edit in place.bf16:
                edits.setdefault(edit.path, []).append(edit)
    for name, mine in edits.items():
        path = project / name
        path.write_text(rewrite(path.read_text(encoding="utf-8"), mine, python=True), encoding="utf-8")


def test_the_diagnosis_tells_every_place_the_deciding_first(project: Path) -> None:
    (diagnosis,) = look(project).diagnoses
    assert "half way to bfloat16" in diagnosis.title
    assert str(sum(len(place.places) for place in diagnosis.places)) in diagnosis.title
    told = [(place.role, each.location) for place in diagnosis.places for each in place.places]
    assert told[0] == ("helper", "models/base.py:12")
    assert {where for role, where in told if role == "weights"} == {
        *("models/it_hd_mistral.py:14", "models/it_hd_mistral.py:17", "models/it_mistral.py:20"),
        *("models/it_mistral.py:23", "models/it_mistral.py:29", "models/pt_mistral.py:18"),
        *("models/pt_mistral.py:21", "models/pt_mistral.py:27"),
    }
    assert {where for role, where in told if role == "outer"} == {"tasks/train_it.py:11", "tasks/train_pt.py:11"}
    assert {where for role, where in told if role == "scaler"} == {"tasks/shared_utils.py:16"}
    assert {where for role, where in told if role == "config"} == {f"configs/stage{n}.py:18" for n in (2, 3, 4)}
    assert all(place.if_missed for place in diagnosis.places)


def test_what_is_around_a_region_is_told_by_entry_point(project: Path) -> None:
    evidence = {place.path: place.evidence for place in places(look(project)) if place.role == "region"}
    assert (
        "started by tasks/train_it.py (scripts/run_stage3.sh:1): the region around it is float16"
        in evidence["models/it_mistral.py"]
    )
    ds = "started by tasks/train_it_ds.py (scripts/run_stage4.sh:1): the region around it is bfloat16"
    assert ds in evidence["models/it_hd_mistral.py"]


def test_inference_is_left_alone(project: Path) -> None:
    assert not [finding for finding in look(project).findings if (finding.path or "").startswith("demo/")]
    before = (project / "demo" / "answer.py").read_text(encoding="utf-8")
    remedy(project)
    assert (project / "demo" / "answer.py").read_text(encoding="utf-8") == before


def test_the_fix_is_whole_and_changes_nothing_else(project: Path) -> None:
    done, after = remedy(project)
    assert done.written
    assert not done.refused
    assert not after.diagnoses
    assert not [finding for finding in look(project).findings if finding.cause is not None]
    text = {path.relative_to(project).as_posix(): path.read_text(encoding="utf-8") for path in project.rglob("*.py")}
    assert "def maybe_autocast(self, dtype=torch.bfloat16):" in text["models/base.py"]
    assert "torch.bfloat16 if none is" in text["models/base.py"]
    assert text["models/it_mistral.py"].count("torch_dtype=torch.bfloat16,") == 2
    assert "torch.bfloat16 if self.llm_bf16 else torch.float16" in text["models/it_hd_mistral.py"]
    assert 'config.get("llm_bf16", True)' in text["models/it_hd_mistral.py"]
    assert "GradScaler(enabled=False)  # bfloat16 needs no loss scaling" in text["tasks/shared_utils.py"]
    assert "GradScaler(enabled=config.fp16)" in text["tasks/shared_utils_ds.py"]
    assert all("fp16 = True\nbf16 = True" in text[f"configs/stage{n}.py"] for n in (2, 3, 4))
    assert all("max_grad_norm=-1" in text[f"configs/stage{n}.py"] for n in (2, 3, 4))
    assert "nothing is generated here" in text["models/it_mistral.py"]


def test_the_fix_is_idempotent(project: Path) -> None:
    remedy(project)
    again, _ = remedy(project)
    assert not again.files
    assert not again.refused


def test_a_diff_writes_nothing(project: Path) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    done, _ = remedy(project, write=False)
    assert done.files
    assert not done.written
    assert before == {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_the_fix_is_refused_where_it_could_not_be_complete(project: Path) -> None:
    path = project / "configs" / "stage4.py"
    path.write_text(
        path.read_text(encoding="utf-8").replace("width=16,", "width=16,\n    llm_bf16=False,"), encoding="utf-8"
    )
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    done, _ = remedy(project)
    assert not done.written
    assert any("models/it_hd_mistral.py:17" in reason for reason in done.refused)
    assert before == {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_the_fix_is_refused_where_a_file_cannot_be_read(project: Path) -> None:
    (project / "models" / "more.py").write_text("with torch.autocast('cuda'):\nprint 'two'\n", encoding="utf-8")
    done, _ = remedy(project)
    assert not done.written
    assert any(reason.startswith("models/more.py: not read") for reason in done.refused)


def test_a_notebook_is_left_by_safe_fixes_and_refuses_a_change_it_is_part_of(project: Path) -> None:
    source = (
        "import torch\nfrom torch.cuda.amp import GradScaler\n\n\ndef train(model, batch):\n"
        "    with torch.cuda.amp.autocast():\n        loss = model(batch)\n    loss.backward()\n"
    )
    cells = [{"cell_type": "code", "source": source}]
    (project / "train.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    request = LintTask(paths=(project,))
    done, _ = fix(request, judge(request), unsafe=False, write=True)
    assert done.written
    done, _ = remedy(project)
    assert not done.written
    assert any(reason.startswith("train.ipynb: a notebook") for reason in done.refused)


def test_the_fix_is_refused_where_a_file_cannot_be_edited(project: Path) -> None:
    path = project / "models" / "base.py"
    path.write_text(path.read_text(encoding="utf-8") + f"\n\nTOTAL = 1{' + 1' * 450}\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    done, _ = remedy(project)
    assert not done.written
    assert any("models/base.py: it is nested too deeply to be edited" in reason for reason in done.refused)
    assert before == {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_the_change_asked_about_is_told_as_worse(project: Path) -> None:
    """bfloat16 weights and fp16=False: the helper stays float16, and nothing scales the loss any more."""
    mend_only(project, "weights")
    for path in (project / "configs").iterdir():
        path.write_text(path.read_text(encoding="utf-8").replace("fp16 = True", "fp16 = False"), encoding="utf-8")
    judged = look(project)
    errors = {
        (place.path, place.line) for place in judged.findings if place.id == "VC103" and place.severity.value == "error"
    }
    assert {("models/it_mistral.py", 46), ("models/it_mistral.py", 53)} <= errors
    (diagnosis,) = judged.diagnoses
    assert diagnosis.places[0].role == "helper"


def test_the_recipe_of_the_code_is_what_it_trains_in(project: Path) -> None:
    recipes = recipes_of(look(project).facts)
    assert recipes == {
        "tasks/train_it.py": "fp16-scaled",
        "tasks/train_pt.py": "fp16-scaled",
        "tasks/train_it_ds.py": "bf16-in-fp16-autocast",
    }
    assert deciding(recipes) == "bf16-in-fp16-autocast"
    remedy(project)
    assert set(recipes_of(look(project).facts).values()) == {"bf16"}


ROWS = {
    # Of the table of half-made cures: what is mended in the code → recipe of the outer region and scaler → row.
    (): {"fp16-scaled": "A", "bf16-scaled": "D"},
    ("weights",): {"fp32": "B", "fp16-scaled": "C"},
    ("helper",): {"fp16-scaled": "E"},
    ("weights", "helper"): {"fp16-scaled": "F", "bf16-scaled": "G"},
}
_SKIPPED, _TAKEN = {"A", "C", "D"}, {"B"}


def _probed(doctor: Callable[..., Ran], python: Path, project: Path, precision: str) -> dict[str, Any]:
    shutil.copy(FIXTURES / "adapter.py", project / "adapter.py")
    ran = doctor(
        *("probe", "--python", str(python), "--entry", "adapter:build", "--precision", precision),
        *("--recipes", "fp32,fp16-scaled,bf16-scaled,bf16", "--format", "json"),
        cwd=project,
    )
    return {recipe["recipe"]: recipe for recipe in json.loads(ran.out)["probe"]["recipes"]}


@pytest.mark.stack
@pytest.mark.parametrize("roles", ROWS, ids=lambda roles: "+".join(roles) or "as shipped")
def test_each_half_made_cure_does_what_the_table_says(
    roles: tuple[str, ...], project: Path, doctor: Callable[..., Ran], stack_of: Callable[..., Path]
) -> None:
    """A float16 helper makes the loss NaN; with a scaler no step is taken, without one the weights go with it."""
    if roles:
        mend_only(project, *roles)
    seen = _probed(doctor, stack_of(*STACK), project, "fp16-scaled")
    for recipe, row in ROWS[roles].items():
        found = seen[recipe]
        told = f"row {row}: {found['told']}"
        assert found["outcome"] == ("non-finite" if row in _SKIPPED | _TAKEN else "finite"), told
        if row in _SKIPPED:
            assert (found["steps_taken"], found["steps_skipped"] > 0) == (0, True), told
        if row in _TAKEN:
            assert found["steps_taken"] > 0, told
    if "helper" not in roles:
        # The linter said so, of the same code.
        assert places(look(project))[0].role == "helper"


@pytest.mark.stack
def test_the_whole_cure_trains(project: Path, doctor: Callable[..., Ran], stack_of: Callable[..., Path]) -> None:
    remedy(project)
    seen = _probed(doctor, stack_of(*STACK), project, "bf16")
    assert seen["bf16"]["outcome"] == "finite", seen["bf16"]["description"]
    assert seen["bf16"]["last_loss"] < seen["bf16"]["first_loss"]
