"""Public reports that versions decide: what failed is called incompatible, or what decides is named."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.facts import SHIPPED
from vc2doctor.matrix.judge import Judgement, Verdict, judge, possible_conflicts
from vc2doctor.matrix.parse import from_names

CASES = Path(__file__).resolve().parents[2] / "shared" / "data" / "reported_cases.jsonl"
pytestmark = pytest.mark.skipif(not CASES.exists(), reason="the collected reports are not beside the repository")

NOT_PACKAGES = frozenset({"gpu", "cuda", "os", "driver", "gcc"})
SAID = {
    "peft-EncoderDecoderCache": "EncoderDecoderCache|No version of torch and transformers and peft",
    "peft-HybridCache-transformers5": "HybridCache",
    "hub-cached_download": "cached_download",
    "SDPA/torch-version NaN": "masked|No version of torch",
    "torch-load-CVE-torch>=2.6": r"torch\.load|\.bin",
    "DTensor-torch>=2.5": "No version of torch",
    "accelerate-too-old/new-for-peft/transformers": "accelerate|No version of torch",
    "tokenizers-range": "tokenizers",
    "numpy2-old-torch": "(?i)numpy",
    "peft-floor (torch>=1.13 / transformers floor)": "trl",
    "torchvision-pair": "torchvision",
    "peft-adapter-dtype-by-version": "poisoned|half|float16",
    "bitsandbytes-triton.ops": r"triton\.ops",
    "deepspeed-elastic-log": "deepspeed|No version of torch",
}
"""What has to be said, by the rule behind a report: the reason, or the package that was not named."""
ELSEWHERE = {
    "LlamaFlashAttention2-removed": "a project's code decides",
    "apply_chunking_to_forward-moved": "a project's code decides",
    "transformers-4.48-removed-1_13": "a model's remote code decides",
    "AdamW-removed": "a project's code decides",
    "LoraConfig-unknown-key": "the adapter's file decides",
    "VLM-repo-pinned-transformers": "a project's code decides",
    "mixed-submodule-dtypes": "one model's code decides",
    "rope_scaling-llama3.1": "the checkpoint decides",
    "GPU-arch-vs-wheel (sm_120/sm_90/old)": "the GPU decides; VC008 tells it",
    "flash-attn-wheel-ABI": "which build of one version was installed decides",
    "dtype-exceptions (bf16 not a cure)": "a model's code decides",
    "driver/CUDA toolkit mismatch": "the CUDA that is installed decides",
    "bitsandbytes-CUDA": "the CUDA that is installed decides",
}
"""Rules that versions of packages do not decide, and what does."""
SINGLE = {
    "unslothai/unsloth#9848": "unsloth's own masks decide",
    "pytorch/pytorch#135013": "only the wheels for Windows were built so",
    "nullquant/ComfyUI-BrushNet#197": "the report says peft 0.14; its wheel lacks that import, that of 0.15 has it",
}


def cases() -> list[dict[str, Any]]:
    if not CASES.exists():
        return []
    told = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    return [case for case in told if case["detectable"]["static_versions"]]


def judged(case: dict[str, Any], key: str) -> tuple[Judgement, list[str]]:
    named = {name: version.split(" ")[0] for name, version in case[key].items() if name.lower() not in NOT_PACKAGES}
    recipe = "fp16-unscaled" if case["family"] == "peft-adapter-dtype-by-version" else "bf16"
    combination = from_names(named)
    others = [f"{one.where}: {one.reason}" for one in possible_conflicts(combination, SHIPPED, recipe)]
    return judge(combination, SHIPPED, recipe), others


FAILED = [case for case in cases() if case.get("env_fail") and case["family"] in SAID and case["id"] not in SINGLE]
WORKED = [case for case in cases() if case.get("env_ok")]


@pytest.mark.parametrize("case", FAILED, ids=[case["id"] for case in FAILED])
def test_what_failed(case: dict[str, Any]) -> None:
    found, others = judged(case, "env_fail")
    told = [found.reason, *others, *found.conditions]
    assert found.verdict in (Verdict.INCOMPATIBLE, Verdict.UNVERIFIED) or found.conditions, found
    assert any(re.search(SAID[case["family"]], text) for text in told), told


@pytest.mark.parametrize("case", WORKED, ids=[case["id"] for case in WORKED])
def test_what_worked(case: dict[str, Any]) -> None:
    assert judged(case, "env_ok")[0].verdict is not Verdict.INCOMPATIBLE


def test_every_rule_is_either_judged_or_said_to_be_decided_elsewhere() -> None:
    assert {case["family"] for case in cases()} <= SAID.keys() | ELSEWHERE.keys()
