"""Training that is consistently float16 with loss scaling is a note, unless the model is known to overflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.findings import Severity
from vc2doctor.linter.run import LintTask, apply_rules
from vc2doctor.linter.settings import LintSettings

LOOP = """\
import torch
from peft import get_peft_model
from transformers import AutoModel

def train(batches, config):
    model = {load}
    scaler = torch.cuda.amp.GradScaler(enabled={scaler})
    for batch in batches:
        with {region}:
            loss = model(batch)
        {backward}
        scaler.step(optimizer)
        scaler.update()
"""
FLOAT16 = "torch.cuda.amp.autocast()"
CONSISTENT = {
    "load": "Net()",
    "scaler": "True",
    "region": FLOAT16,
    "backward": "scaler.scale(loss).backward()",
}
ADAPTERS = "get_peft_model(AutoModel.from_pretrained('{}', torch_dtype=torch.float16))"


def severities(folder: Path, **changes: str) -> tuple[set[Severity], list[str], list[Severity]]:
    """Return the severities of the float16 places, and the titles and severities of the diagnoses."""
    (folder / "train.py").write_text(LOOP.format(**{**CONSISTENT, **changes}), encoding="utf-8")
    result = apply_rules(LintTask(paths=(folder,)))
    places = {finding.severity for finding in result.findings if finding.cause == "float16"}
    return places, [each.title for each in result.diagnoses], [each.severity for each in result.diagnoses]


@pytest.mark.parametrize("load", ["Net()", ADAPTERS.format("facebook/opt-1.3b"), ADAPTERS.format("some/model")])
def test_consistent_float16_is_a_note_that_says_so(load: str, tmp_path: Path) -> None:
    places, titles, diagnoses = severities(tmp_path, load=load)
    assert places == {Severity.NOTE}
    assert diagnoses == [Severity.NOTE]
    assert "trains in float16 with loss scaling, which is consistent" in titles[0]


@pytest.mark.parametrize(
    "change",
    [
        {"scaler": "False"},
        {"backward": "loss.backward()"},
        {"load": "AutoModel.from_pretrained('some/model', torch_dtype=torch.float16)"},
        {"load": "AutoModel.from_pretrained('some/model', torch_dtype=torch.bfloat16)"},
    ],
)
def test_inconsistent_float16_is_not_called_consistent(change: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(LOOP.format(**{**CONSISTENT, **change}), encoding="utf-8")
    result = apply_rules(LintTask(paths=(tmp_path,)))
    assert result.findings
    assert not any("is consistent" in diagnosis.title for diagnosis in result.diagnoses)


def test_model_that_is_known_to_overflow_stays_an_error(tmp_path: Path) -> None:
    places, titles, diagnoses = severities(tmp_path, load=ADAPTERS.format("mistralai/Mistral-7B-v0.1"))
    assert Severity.ERROR in places
    assert diagnoses == [Severity.ERROR]
    assert "its model overflows float16" in titles[0]


def test_run_of_another_family_does_not_make_the_code_of_a_consistent_program_wrong(tmp_path: Path) -> None:
    for name, model in (("opt", "facebook/opt-1.3b"), ("mistral", "mistralai/Mistral-7B-v0.1")):
        text = f"model:\n  llama_model: {model}\nrun:\n  amp: true\n"
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    severities(tmp_path, load=ADAPTERS.format("some/model"))
    found = apply_rules(LintTask(paths=(tmp_path,))).findings
    by_file = {finding.file: finding.severity for finding in found if finding.cause == "float16"}
    assert by_file == {"mistral.yaml": Severity.ERROR, "train.py": Severity.NOTE}


def test_weights_that_are_trained_in_float16_are_named_as_the_reason(tmp_path: Path) -> None:
    text = LOOP.format(**CONSISTENT).replace(
        "    scaler =",
        "    model = model.half()\n    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)\n    scaler =",
    )
    (tmp_path / "train.py").write_text(text, encoding="utf-8")
    (diagnosis,) = apply_rules(LintTask(paths=(tmp_path,))).diagnoses
    assert diagnosis.title.startswith(
        "this project trains float16 weights with loss scaling, which raises at the first"
    )


def test_a_line_that_loads_and_trains_weights_has_one_remedy(tmp_path: Path) -> None:
    code = (
        "import torch\nfrom transformers import LlamaForCausalLM\n"
        "model = LlamaForCausalLM.from_pretrained('meta-llama/Llama-2-7b-hf', torch_dtype=torch.float16).cuda()\n"
        "opt = torch.optim.AdamW(model.parameters(), lr=1e-5)\n"
        "for batch in loader:\n    loss = model(**batch).loss\n    loss.backward()\n    opt.step()\n"
    )
    (tmp_path / "train.py").write_text(code, encoding="utf-8")
    findings = apply_rules(LintTask(paths=(tmp_path,), settings=LintSettings())).findings
    remedies = {each.id: each.remedy for each in findings if each.id in {"VC101", "VC109"}}
    assert len(remedies) == 2
    assert len(set(remedies.values())) == 1
    assert remedies["VC101"].startswith("Load these weights in float32")
