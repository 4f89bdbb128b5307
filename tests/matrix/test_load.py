"""Loading a matrix, and the errors of a wrong one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from packaging.requirements import Requirement

from tests.facts import EVIDENCE, SHIPPED
from vc2doctor.matrix import load
from vc2doctor.matrix.errors import MatrixError
from vc2doctor.report.schema import KINDS, schema
from vc2doctor.target.shared.recipes import RECIPES


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return shutil.copytree(load.shipped(), tmp_path / "matrix")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_shipped_matrix_has_profiles_issues_and_evidence() -> None:
    assert "videochat2-mistral" in SHIPPED.profiles
    assert len(SHIPPED.issues) >= 10
    assert {"upstream-pins", "peft-0.4.0", "peft-0.10.0", "peft-0.21.2", "known-broken"} <= {
        line.name for line in EVIDENCE
    }


def test_the_videochat2_profile_has_the_pins_of_its_project() -> None:
    profile = SHIPPED.profiles["videochat2-mistral"]
    assert profile.pins["torch"] == "==1.13.1"
    assert profile.pins["peft"] == "==0.4.0"
    assert (profile.precision.trains, profile.precision.recommended) == ("fp16-scaled", "bf16")
    assert profile.training.max_grad_norm is None


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_no_known_issue_contradicts_what_was_measured(recipe: str) -> None:
    for line in EVIDENCE:
        versions = {**line.cell.model_dump(exclude={"python"}), **line.resolved}
        applicable = [
            issue.id
            for issue in SHIPPED.issues
            if issue.probe_sees and issue.blocks(recipe) and issue.applies_to(versions)
        ]
        if line.trains(recipe):
            assert applicable == [], f"{line.name} trains under {recipe}"


def test_every_fix_changes_a_package_that_its_issue_names() -> None:
    for issue in SHIPPED.issues:
        for alternative in issue.when:
            for fix in issue.fix:
                named = {Requirement(text).name for text in fix}
                assert named & set(alternative), f"{issue.id}: {fix} changes no package of {alternative}"


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_schemas_are_current(kind: str) -> None:
    committed = load.shipped() / "schema" / f"{kind}.json"
    assert json.loads(committed.read_text(encoding="utf-8")) == schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema(kind))


def test_the_schema_accepts_the_evidence() -> None:
    for line in (load.shipped() / "evidence" / "cells.jsonl").read_text(encoding="utf-8").splitlines():
        jsonschema.validate(json.loads(line), schema("evidence"))


def test_a_folder_without_profiles_is_not_a_matrix(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match="not a matrix"):
        load.load(tmp_path)


def test_an_unknown_profile_is_an_error_that_lists_the_profiles() -> None:
    with pytest.raises(MatrixError, match=r"there is no profile 'nobody'; the matrix has .*causal-lm, videochat2"):
        load.profile(SHIPPED, "nobody")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('peft = "==0.4.0"', 'peft = "0.4.0"', "pins.peft: '0.4.0' is not a version specifier"),
        ("flash-attn = ", "flash_attn = ", "write 'flash-attn'"),
        ('trains = "fp16-scaled"', 'trains = "fp8"', "precision.trains: 'fp8' is not a recipe"),
        ("[lora]", "[lora]\nrank = 1", "lora.rank: there is no such key"),
        ("weight_decay = 0.02", "", "training.weight_decay: this key is missing"),
        ('name = "videochat2-mistral"', 'name = "another"', "it must be the file's name"),
        ("[pins]", "[pins", "not TOML"),
    ],
)
def test_an_error_in_a_profile_gives_file_and_key(copy: Path, old: str, new: str, message: str) -> None:
    path = copy / "profiles" / "videochat2-mistral.toml"
    edit(path, old, new)
    with pytest.raises(MatrixError) as caught:
        load.load(copy)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('severity = "error"', 'severity = "fatal"', "severity: Input should be"),
        ("https://", "http://", "sources.0: String should match pattern"),
        ("symptom = '''cannot", "symptom = '''(cannot", "symptom: not a regular expression"),
        ('["peft>=0.13,<0.14"]', '["peft >< 1"]', "fix.0.0: 'peft >< 1' is not a requirement"),
    ],
)
def test_an_error_in_a_known_issue_gives_file_and_key(copy: Path, old: str, new: str, message: str) -> None:
    path = copy / "known_issues" / "peft-encoderdecodercache.toml"
    edit(path, old, new)
    with pytest.raises(MatrixError) as caught:
        load.load(copy)
    assert f"{path}: {message}" in str(caught.value)


def test_an_error_in_evidence_gives_file_and_line(copy: Path) -> None:
    path = copy / "evidence" / "cells.jsonl"
    edit(path, '"adapter":"not reached"', '"adapter":"perhaps"')
    number = next(index for index, line in enumerate(path.read_text().splitlines(), start=1) if "perhaps" in line)
    with pytest.raises(MatrixError) as caught:
        load.evidence(copy)
    assert f"{path}:{number}: adapter: Input should be" in str(caught.value)


def test_evidence_that_is_not_json_is_an_error(copy: Path) -> None:
    path = copy / "evidence" / "other.jsonl"
    path.write_text("{\n")
    with pytest.raises(MatrixError, match=r"other\.jsonl:1: "):
        load.evidence(copy)


def test_a_file_that_is_not_text_is_an_error(copy: Path) -> None:
    (copy / "known_issues" / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(MatrixError, match=r"binary\.toml: cannot be read"):
        load.load(copy)


@pytest.mark.parametrize("content", ["null", "[]", "{}", "{", '{"schema_": 2', "\0"])
@pytest.mark.parametrize("name", ["releases.json", "architectures.json", "verdicts.json"])
def test_damaged_file_is_named(copy: Path, name: str, content: str) -> None:
    (copy / name).write_text(content, encoding="utf-8")
    if (name, content) == ("architectures.json", "{}"):
        return
    with pytest.raises(MatrixError, match=name) as caught:
        load.load(copy)
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)
