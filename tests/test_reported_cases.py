"""Public reports that versions explain: what failed must be called incompatible, or the deciding package be named."""

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
EXPECTED_REASONS = {
    "peft-EncoderDecoderCache": "EncoderDecoderCache|No version of torch",
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
"""By the rule behind a report: a pattern of the reason, or of the package that the report does not name."""
NOT_DECIDED_BY_VERSIONS = {
    "LlamaFlashAttention2-removed": "the code of a project decides",
    "apply_chunking_to_forward-moved": "the code of a project decides",
    "transformers-4.48-removed-1_13": "the remote code of a model decides",
    "AdamW-removed": "the code of a project decides",
    "LoraConfig-unknown-key": "the file of the adapter decides",
    "VLM-repo-pinned-transformers": "the code of a project decides",
    "mixed-submodule-dtypes": "the code of one model decides",
    "rope_scaling-llama3.1": "the checkpoint decides",
    "GPU-arch-vs-wheel (sm_120/sm_90/old)": "the GPU decides; VC008 reports it",
    "flash-attn-wheel-ABI": "the build of the installed version decides",
    "dtype-exceptions (bf16 not a cure)": "the code of a model decides",
    "driver/CUDA toolkit mismatch": "the installed CUDA decides",
    "bitsandbytes-CUDA": "the installed CUDA decides",
}
"""Rules that package versions do not decide, and what decides them."""
EXCEPTIONS = {
    "unslothai/unsloth#9848": "the masks that unsloth builds decide",
    "pytorch/pytorch#135013": "only the wheels for Windows were built in this way",
    "nullquant/ComfyUI-BrushNet#197": "the report says peft 0.14; its wheel lacks that import, that of 0.15 has it",
}
"""Single reports that package versions do not decide, and why."""


def load_cases() -> list[dict[str, Any]]:
    if not CASES.exists():
        return []
    cases = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    return [case for case in cases if case["detectable"]["static_versions"]]


def judge_case(case: dict[str, Any], key: str) -> tuple[Judgement, list[str]]:
    versions = {name: version.split(" ")[0] for name, version in case[key].items() if name.lower() not in NOT_PACKAGES}
    recipe = "fp16-unscaled" if case["family"] == "peft-adapter-dtype-by-version" else "bf16"
    combination = from_names(versions).combination
    conflicts = possible_conflicts(combination, SHIPPED, recipe)
    return judge(combination, SHIPPED, recipe), [f"{conflict.where}: {conflict.reason}" for conflict in conflicts]


FAILED = [
    case
    for case in load_cases()
    if case.get("env_fail") and case["family"] in EXPECTED_REASONS and case["id"] not in EXCEPTIONS
]
WORKED = [case for case in load_cases() if case.get("env_ok")]


@pytest.mark.parametrize("case", FAILED, ids=[case["id"] for case in FAILED])
def test_reported_failure_is_not_called_fit_and_its_reason_is_named(case: dict[str, Any]) -> None:
    judgement, conflicts = judge_case(case, "env_fail")
    reasons = [judgement.reason, *conflicts, *judgement.conditions]
    assert judgement.verdict in (Verdict.INCOMPATIBLE, Verdict.UNVERIFIED) or judgement.conditions, judgement
    assert any(re.search(EXPECTED_REASONS[case["family"]], reason) for reason in reasons), reasons


@pytest.mark.parametrize("case", WORKED, ids=[case["id"] for case in WORKED])
def test_environment_that_worked_is_not_called_incompatible(case: dict[str, Any]) -> None:
    assert judge_case(case, "env_ok")[0].verdict is not Verdict.INCOMPATIBLE


def test_every_rule_has_an_expected_reason_or_is_decided_elsewhere() -> None:
    assert {case["family"] for case in load_cases()} <= EXPECTED_REASONS.keys() | NOT_DECIDED_BY_VERSIONS.keys()
