"""Public reports of 2024 to 2026: what versions decide must be ruled out, and what the linter knows must be found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from vc2doctor.commands import versions
from vc2doctor.commands.versions import VersionsAnswer
from vc2doctor.linter.run import LintTask, apply_rules
from vc2doctor.matrix.judge import Verdict
from vc2doctor.matrix.parse import from_names
from vc2doctor.remedies.question import Goal

CASES = Path(__file__).resolve().parents[2] / "shared" / "data" / "reports_2026.jsonl"


class VersionReport(NamedTuple):
    """A report that versions decide."""

    id: str
    versions: str
    reason: str
    """What the verdict or a condition must say."""
    fix: str = ""
    """The beginning of a requirement of the first remedy."""
    door: str = "trainer"
    model_type: str = ""
    recipe: str = "bf16"
    verdict: Verdict = Verdict.INCOMPATIBLE


VERSION_REPORTS = (
    VersionReport(
        "PrunaAI/pruna#630",
        "python=3.12 torch=2.9.1 transformers=5.3.0 peft=0.19.0 torchao=0.15.0",
        "torchao <0.16.0",
        "torchao==0.16.0",
    ),
    VersionReport(
        "unslothai/notebooks#258",
        "python=3.11 torch=2.13.0 transformers=5.23.0 peft=0.21.2 torchao=0.10.0",
        "torchao <0.16.0",
        "torchao==0.16.0",
    ),
    VersionReport(
        "huggingface/transformers#32292",
        "python=3.11 torch=2.13.0 transformers=4.44.2 peft=0.12.0 accelerate=0.21.0",
        "is_mlu_available",
        "accelerate==0.29.0",
    ),
    VersionReport(
        "modelscope/ms-swift#9343",
        "python=3.10 torch=2.8.0 transformers=5.5.0 peft=0.18.1 trl=0.19.1",
        "MODEL_FOR_VISION_2_SEQ_MAPPING_NAMES",
        "trl==",
        door="dpo",
    ),
    VersionReport(
        "alibaba-damo-academy/Lumos#8",
        "torch=2.3.0 transformers=5.1.0 peft=0.18.1",
        "torch",
        "transformers==4.57.6",
    ),
    VersionReport(
        "pydantic/pydantic-ai#4092",
        "python=3.12 torch=2.8.0 transformers=5.0.0 peft=0.18.1 huggingface-hub=0.36.0",
        "is_offline_mode",
        "huggingface-hub==1.3.0",
    ),
    VersionReport(
        "declare-lab/trust-align#6",
        "python=3.10 torch=2.9.0 transformers=4.57.1 peft=0.17.1 torchvision=0.18.0 xformers=0.0.26.post1",
        "torchvision ==0.18.0 works only with torch ==2.3.0",
        "torchvision==0.24.0",
    ),
    VersionReport(
        "modelscope/ms-swift#6744",
        "python=3.12 torch=2.9.0 transformers=4.57.1 peft=0.17.1",
        "3D convolutions in half precision slowly",
        model_type="qwen3_vl",
        verdict=Verdict.COMPATIBLE,
    ),
    VersionReport(
        "unslothai/unsloth-zoo#931",
        "python=3.12 torch=2.8.0 transformers=5.5.0 peft=0.18.1",
        "pooler of Gemma 4 overflows float16",
        "transformers==5.10.1",
        model_type="gemma4",
        recipe="fp16-scaled",
    ),
)
NOT_JUDGED = {
    "declare-lab/trust-align#6": ("xformers",),
    "hiyouga/LlamaFactory#5672": ("torch-npu",),
}
"""Packages that the matrix does not model: they must be named beside the verdict."""
NPU_VERSIONS = "python=3.10 torch=2.1.0 transformers=4.45.0 accelerate=0.34.2 peft=0.12.0 torch-npu=2.1.0"


class CodeReport(NamedTuple):
    """A report that code decides; the code is of its kind."""

    id: str
    files: dict[str, str]
    rules: frozenset[str]
    """The rules that must report an error."""


CODE_REPORTS = (
    CodeReport(
        "sciknoworg/OntoLearner#347",
        {
            "requirements.txt": "transformers==5.15.0\n",
            "train.py": "from transformers import Trainer\n"
            "Trainer(model=model, args=args, train_dataset=data, tokenizer=tokenizer).train()\n",
        },
        frozenset({"VC118"}),
    ),
    CodeReport(
        "aws-samples/aws-ai-ml-workshop-kr#151",
        {
            "train.py": "from transformers import Trainer, TrainingArguments\n"
            "args = TrainingArguments(output_dir='out', evaluation_strategy='epoch')\n"
            "Trainer(model, args).train()\n"
        },
        frozenset({"VC118"}),
    ),
    CodeReport(
        "h2oai/h2o-llmstudio#1063",
        {
            "requirements.txt": "deepspeed==0.17.1\n",
            "ds.json": '{"train_batch_size": 8, "bf16": {"enabled": true, "loss_scale_window": 100}}',
            "train.sh": "deepspeed train.py --deepspeed ds.json --bf16 True\n",
            "train.py": "import deepspeed\nmodel.backward(loss)\n",
        },
        frozenset({"VC106"}),
    ),
    CodeReport(
        "huggingface/accelerate#1778",
        {
            "train.py": "import torch\n"
            "from accelerate import Accelerator\n"
            "from diffusers import UNet2DConditionModel\n"
            "accelerator = Accelerator(mixed_precision='fp16')\n"
            "unet = UNet2DConditionModel.from_pretrained('model', torch_dtype=torch.float16)\n"
            "optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-5)\n"
            "unet, optimizer = accelerator.prepare(unet, optimizer)\n"
            "for batch in batches:\n"
            "    loss = unet(batch).loss\n"
            "    accelerator.backward(loss)\n"
            "    accelerator.clip_grad_norm_(unet.parameters(), 1.0)\n"
            "    optimizer.step()\n"
        },
        frozenset({"VC101", "VC109"}),
    ),
    CodeReport(
        "engichang1467/Open-Rig3R#35",
        {
            "train.py": "import torch\n"
            "device = torch.device('cuda')\n"
            "for batch in batches:\n"
            "    with torch.autocast(device_type=str(device)):\n"
            "        loss = model(batch)\n"
            "    loss.backward()\n"
            "    optimizer.step()\n"
        },
        frozenset({"VC104"}),
    ),
    CodeReport(
        "huggingface/trl#3236",
        {
            "train.py": "from transformers import AutoModelForCausalLM\n"
            "from trl import DPOConfig, DPOTrainer\n"
            "model = AutoModelForCausalLM.from_pretrained('google/gemma-3-12b-it')\n"
            "DPOTrainer(model=model, args=DPOConfig(output_dir='out', fp16=True), train_dataset=data).train()\n"
        },
        frozenset({"VC106"}),
    ),
    CodeReport(
        "2U1/Llama3.2-Vision-Finetune#27",
        {
            "run.sh": "python train.py --bf16 True --freeze_vision_tower True --deepspeed zero3.json\n",
            "zero3.json": '{"bf16": {"enabled": "auto"}, "zero_optimization": {"stage": 3}}',
        },
        frozenset(),
    ),
)
ELSEWHERE = {
    "ace-step/ACE-Step-1.5#619": "the probe decides: data that are not finite, in tests/probe_truth",
    "ostris/ai-toolkit#1054": "the probe decides: reentrant checkpointing, in tests/probe_truth",
}
MISSED = {
    "google/gemma_pytorch#24": "float16 weights are found; that the adapters are float16 under AdamW is not",
    "huggingface/sentence-transformers#3773": "the default dtype of transformers 5 is not known to the linter",
    "modelscope/ms-swift#1099": "the options of swift are not read",
    "zeroQiaoba/AffectGPT#48": "pins of an environment file that exclude each other are not judged",
}
"""What the doctor does not find yet, and why."""


def answer(texts: str, report: VersionReport | None = None) -> VersionsAnswer:
    names = dict(word.split("=", 1) for word in texts.split())
    goal = Goal(recipe=report.recipe, doors=(report.door,)) if report else Goal(recipe="bf16")
    return versions.judge(from_names(names), goal, model_types=[report.model_type] if report else ())


@pytest.mark.parametrize("report", VERSION_REPORTS, ids=lambda report: report.id)
def test_versions_that_were_reported_are_ruled_out_with_the_change_that_fixes_them(report: VersionReport) -> None:
    found = answer(report.versions, report)
    assert found.judgement.verdict is report.verdict
    assert report.reason in " ".join((found.judgement.reason, *found.judgement.conditions))
    if report.fix:
        assert any(text.startswith(report.fix) for text in found.remedies[0].requirements)


def test_packages_that_are_not_modeled_are_named() -> None:
    texts = {report.id: report.versions for report in VERSION_REPORTS} | {"hiyouga/LlamaFactory#5672": NPU_VERSIONS}
    for name, packages in NOT_JUDGED.items():
        assert tuple(answer(texts[name]).not_judged) == packages


@pytest.mark.parametrize("report", CODE_REPORTS, ids=lambda report: report.id)
def test_code_of_the_reported_kind_is_found(report: CodeReport, tmp_path: Path) -> None:
    for name, text in report.files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = apply_rules(LintTask(paths=(tmp_path,))).findings
    errors = {finding.id for finding in found if finding.severity == "error"}
    above_note = {finding.id for finding in found if finding.severity != "note"}
    # float16 with loss scaling over float32 weights is a warning, even for a family that is known to overflow.
    assert errors <= report.rules <= above_note


@pytest.mark.skipif(not CASES.exists(), reason="the collected reports are not beside the repository")
def test_every_collected_report_is_tested_or_named() -> None:
    collected = [json.loads(line)["id"] for line in CASES.read_text(encoding="utf-8").splitlines()]
    reports: tuple[VersionReport | CodeReport, ...] = (*VERSION_REPORTS, *CODE_REPORTS)
    assert set(collected) == {*(report.id for report in reports), *ELSEWHERE, *MISSED, *NOT_JUDGED}
