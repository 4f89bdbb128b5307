"""Families of models and what training in float16 does to them, found by names and types."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import run_doctor
from vc2doctor.matrix import model_families


@pytest.mark.parametrize(
    ("name", "family", "verdict"),
    [
        ("mistralai/Mistral-7B-v0.1", "Mistral", "fails"),
        ("google/gemma-4-E2B-it", "Gemma 4", "fails"),
        ("gemma4_text", "Gemma 4", "fails"),
        ("gemma3n", "Gemma", "fails"),
        ("google/gemma-2b", "Gemma", "risky"),
        ("gpt_oss", "gpt-oss", "fails"),
        ("qwen3_moe", "Qwen3 MoE", "fails"),
        ("Qwen/Qwen3-30B-A3B", "Qwen3 MoE", "fails"),
        ("Qwen3MoeForCausalLM", "Qwen3 MoE", "fails"),
        ("Qwen/Qwen3.5-9B", "Qwen3.5", "fails"),
        ("qwen3_5", "Qwen3.5", "fails"),
        ("Qwen/Qwen3-8B", "Qwen", "risky"),
        ("glm4_moe", "GLM-4 MoE", "fails"),
        ("zai-org/GLM-4.6", "GLM-4 MoE", "fails"),
        ("THUDM/glm-4-9b", "GLM", "risky"),
        ("THUDM/chatglm-6b", "ChatGLM-6B", "used"),
        ("meta-llama/Llama-2-7b-hf", "Llama 2", "used"),
        ("microsoft/phi-2", "Phi", "risky"),
        ("internlm/internlm2-7b", "InternLM", "risky"),
        ("google/flan-t5-xl", "T5", "fails"),
        ("google/mt5-base", "T5", "fails"),
        ("openai/clip-vit-large-patch14", "CLIP", "used"),
        ("eva_clip_g", "EVA-CLIP", "used"),
        ("google/siglip-so400m-patch14-384", "SigLIP", "risky"),
    ],
)
def test_family_of_a_name(name: str, family: str, verdict: str) -> None:
    found = model_families.any_family_of(name)
    assert found is not None
    assert (found.name, found.in_float16) == (family, verdict)


@pytest.mark.parametrize("name", ["bert-base-uncased", "resnet50", "dit5", "glow", "some-model"])
def test_other_names_have_no_family(name: str) -> None:
    assert model_families.any_family_of(name) is None


@pytest.mark.parametrize("name", ["google/flan-t5-xl", "openai/clip-vit-large-patch14", "google/siglip-base"])
def test_encoders_beside_a_trained_model_are_not_judged_in_code(name: str) -> None:
    assert model_families.family_of(name) is None


def test_every_family_has_a_source_and_those_that_fail_come_first() -> None:
    families = model_families.families()
    assert all(family.source.startswith("https://") and family.why for family in families)
    verdicts = [family.in_float16 for family in families]
    assert verdicts == sorted(verdicts, key=("fails", "risky", "used").index)


def test_headroom_tells_that_a_family_fails_beside_its_values(tmp_path: Path) -> None:
    ran = run_doctor("headroom", "qwen3", "30b", "a3b", cwd=tmp_path)
    assert ran.code == 0
    values, family = ran.out.splitlines()
    assert "5.4 bits, float16 holds the largest known value of a forward pass" in values
    assert "Training Qwen3 MoE in float16 fails: the loss stays finite and the gradients overflow" in family
