"""What an environment is judged for: --profile, the code's classes, the checkpoint, the model that the code names."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.facts import SHIPPED
from vc2doctor.commands import code as code_command
from vc2doctor.commands.judged_as import Choice, choose
from vc2doctor.commands.model_config import MAX_BYTES, gguf_type, read
from vc2doctor.commands.report import CodeReading
from vc2doctor.commands.settings import SettingsSource
from vc2doctor.core.invocation import Invocation
from vc2doctor.matrix.errors import MatrixError
from vc2doctor.probe.spec import Subject

QWEN = {"model_type": "qwen2", "hidden_size": 3584, "architectures": ["Qwen2ForCausalLM"]}


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "code").mkdir()


def write(path: Path, content: str | dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def choice(folder: Path, *, code: bool = True, profile: str | None = None, **subject: Any) -> Choice:  # noqa: ANN401
    path = folder / "code"
    reading = code_command.read(path, {}, SettingsSource(isolated=True), Invocation()) if code else CodeReading()
    return choose(SHIPPED, profile, reading, Subject(**subject), path)


def train(folder: Path, source: str) -> None:
    write(folder / "code" / "train.py", f"from transformers import *\n{source}\nTrainer(model, args).train()\n")


def test_without_code_a_plain_language_model_is_judged(tmp_path: Path) -> None:
    chosen = choice(tmp_path, code=False)
    assert (chosen.profile.name, chosen.architecture) == ("causal-lm", "")
    assert (chosen.judged_as.subject, chosen.judged_as.reason) == ("plain language model", "no code given")


def test_named_profile_wins_over_the_code(tmp_path: Path) -> None:
    train(tmp_path, "model = AutoModelForCausalLM.from_pretrained('Qwen/Qwen2.5-7B')")
    chosen = choice(tmp_path, profile="videochat2-mistral")
    assert (chosen.profile.name, chosen.architecture) == ("videochat2-mistral", "")
    assert chosen.judged_as.model_types == ("videochat2", "mistral")
    with pytest.raises(MatrixError, match="there is no profile 'nobody'"):
        choice(tmp_path, profile="nobody")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("models.py", "import torch\nclass VideoChat2_it_mistral(torch.nn.Module):\n    pass\n"),
        (
            "train.py",
            "from models import VideoChat2_it_hd_mistral as V, VideoChat2_pt_mistral\nVideoChat2_pt_mistral(1)\n",
        ),
        ("config.py", "model = dict(model_cls='VideoChat2_it_hd_mistral')\nfp16 = True\n"),
        ("config.yaml", "model:\n  model_cls: VideoChat2_it_mistral\n"),
    ],
)
def test_code_that_builds_videochat2_mistral_is_judged_by_its_profile(tmp_path: Path, name: str, source: str) -> None:
    write(tmp_path / "code" / name, source)
    chosen = choice(tmp_path)
    assert chosen.profile.name == "videochat2-mistral"
    assert chosen.judged_as.reason.startswith("class VideoChat2_")
    assert f"at {name}:" in chosen.judged_as.reason


@pytest.mark.parametrize("source", ["# VideoChat2_it_mistral\nx = 1\n", "class VideoChat2_it_vicuna:\n    pass\n"])
def test_comment_or_another_language_model_is_not_videochat2_mistral(tmp_path: Path, source: str) -> None:
    write(tmp_path / "code" / "models.py", f"import torch\n{source}\nloss.backward()\n")
    assert choice(tmp_path).profile.name == "causal-lm"


def test_architecture_of_the_checkpoint_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "ckpt" / "config.json", QWEN).parent
    chosen = choice(tmp_path, code=False, checkpoint=folder)
    assert (chosen.profile.name, chosen.architecture) == ("causal-lm", "")
    assert chosen.judged_as.model_types == ("qwen2",)
    assert chosen.judged_as.subject == "your checkpoint, a qwen2"


def gguf(path: Path, architecture: str) -> Path:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    keys = text("general.file_type") + struct.pack("<II", 4, 7)
    keys += text("general.architecture") + struct.pack("<I", 8) + text(architecture)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + keys)
    return path


def test_architecture_of_a_gguf_file_is_read_from_its_metadata(tmp_path: Path) -> None:
    path = gguf(tmp_path / "model.gguf", "qwen3moe")
    assert gguf_type(path) == "qwen3_moe"
    assert choice(tmp_path, code=False, checkpoint=path).judged_as.model_types == ("qwen3_moe",)


@pytest.mark.parametrize("data", [b"", b"GGUF", b"GGUF" + b"\xff" * 60, b"GGUF" + bytes(20)])
def test_damaged_gguf_file_tells_no_architecture(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    assert gguf_type(path) is None


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("ckpt", "model = AutoModelForCausalLM.from_pretrained('ckpt')"),
        ("ckpt", "path = './ckpt'\nmodel = Qwen2ForCausalLM.from_pretrained(path, dtype='auto')"),
        ("sub/ckpt", "parser.add_argument('--model_name_or_path', default='sub/ckpt')\nmodel = load(args)"),
    ],
)
def test_configuration_that_the_code_names_is_what_the_probe_trains(tmp_path: Path, place: str, source: str) -> None:
    write(tmp_path / "code" / place / "config.json", QWEN)
    train(tmp_path, source)
    chosen = choice(tmp_path)
    assert json.loads(chosen.architecture) == QWEN
    assert (chosen.profile.name, chosen.judged_as.subject, chosen.judged_as.is_exact) == ("causal-lm", "qwen2", True)
    assert chosen.judged_as.reason.endswith("named at train.py:3" if "path =" in source else "named at train.py:2")


def test_model_of_a_yaml_file_and_of_a_launch_is_found(tmp_path: Path) -> None:
    write(tmp_path / "code" / "ckpt" / "config.json", QWEN)
    train(tmp_path, "model = build(cfg)")
    write(tmp_path / "code" / "conf.yaml", "model:\n  name_or_path: x\nllm_path: ckpt\n")
    assert choice(tmp_path).judged_as.reason.endswith("named at conf.yaml:3")
    write(tmp_path / "code" / "run.sh", "python train.py --model_name_or_path google/gemma-2-9b --bf16 True\n")
    write(tmp_path / "code" / "conf.yaml", "model:\n  x: y\n")
    chosen = choice(tmp_path)
    assert (chosen.judged_as.model_types, chosen.judged_as.is_exact) == (("gemma2",), False)
    assert json.loads(chosen.architecture) == {"model_type": "gemma2"}


def test_configuration_in_the_cache_of_the_hub_is_read(tmp_path: Path) -> None:
    write(tmp_path / "cache" / "models--Qwen--Qwen2.5-7B" / "snapshots" / "abc" / "config.json", QWEN)
    train(tmp_path, "model = AutoModelForCausalLM.from_pretrained('Qwen/Qwen2.5-7B')")
    assert json.loads(choice(tmp_path).architecture) == QWEN


def test_name_of_a_model_tells_its_type_if_its_configuration_is_not_here(tmp_path: Path) -> None:
    train(tmp_path, "model = AutoModelForCausalLM.from_pretrained('Qwen/Qwen2.5-7B')")
    judged_as = choice(tmp_path).judged_as
    assert (judged_as.subject, judged_as.is_exact) == ("qwen2", False)
    assert judged_as.reason == "by the name Qwen/Qwen2.5-7B at train.py:2; its config.json is not on this machine"


def test_class_of_transformers_tells_the_type(tmp_path: Path) -> None:
    train(tmp_path, "class Mine(Gemma2ForCausalLM):\n    pass\nmodel = Mine.from_pretrained(sys.argv[1])")
    judged_as = choice(tmp_path).judged_as
    assert (judged_as.model_types, judged_as.reason) == (("gemma2",), "class Gemma2ForCausalLM at train.py:2")


def test_tokenizers_encoders_and_demos_do_not_decide(tmp_path: Path) -> None:
    write(tmp_path / "code" / "clip" / "config.json", {"model_type": "clip", "architectures": ["CLIPModel"]})
    write(
        tmp_path / "code" / "demo.py", "m = AutoModelForCausalLM.from_pretrained('google/gemma-2-9b', dtype='bf16')\n"
    )
    train(
        tmp_path,
        "tower = CLIPVisionModel.from_pretrained('clip')\ntokenizer = AutoTokenizer.from_pretrained('gpt2')\n"
        "model = AutoModelForCausalLM.from_pretrained('mistralai/Mistral-7B-v0.1')",
    )
    assert choice(tmp_path).judged_as.model_types == ("mistral",)


def test_code_that_names_no_model_is_judged_as_a_plain_language_model(tmp_path: Path) -> None:
    train(tmp_path, "model = build()")
    chosen = choice(tmp_path)
    assert (chosen.profile.name, chosen.architecture, chosen.judged_as.model_types) == ("causal-lm", "", ())
    assert chosen.judged_as.reason.endswith("names no model that is known")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"model_type": 7}', "{" * 5000, " " * (MAX_BYTES + 1), '{"architectures": ["BertModel"]}'],
)
def test_file_that_is_no_configuration_of_a_language_model_is_none(tmp_path: Path, content: str) -> None:
    assert read(write(tmp_path / "config.json", content), {}) is None


def test_configuration_without_a_type_gets_that_of_its_class(tmp_path: Path) -> None:
    path = write(tmp_path / "config.json", {"architectures": ["LlamaForCausalLM"]})
    config = read(path, SHIPPED.architectures.classes)
    assert config is not None
    assert config.model_types == ("llama",)


def test_types_of_all_parts_count_for_known_issues(tmp_path: Path) -> None:
    keys = {"model_type": "gemma4", "text_config": {"model_type": "gemma4_text"}, "vision_config": {"model_type": "v"}}
    config = read(write(tmp_path / "config.json", keys), {})
    assert config is not None
    assert config.model_types == ("gemma4", "gemma4_text", "v")
