"""Every launcher's files and commands are read into one model of what a run asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.linter.analyse.paths import file_named, file_of_launch
from vc2doctor.linter.model import LintError
from vc2doctor.linter.read import launchers
from vc2doctor.linter.read.config import Config
from vc2doctor.linter.read.formats.json import read_json
from vc2doctor.linter.read.formats.shell import read_launches
from vc2doctor.linter.read.formats.yaml import read_yaml
from vc2doctor.linter.read.module import module_of
from vc2doctor.linter.read.python_config import read_python
from vc2doctor.linter.read.run_settings import RunSettings
from vc2doctor.linter.read.source import read_source
from vc2doctor.linter.read.user_config import default_path, read_user_config
from vc2doctor.linter.run import LintTask, apply_rules
from vc2doctor.linter.settings import LintSettings


def of_config(config: Config | None) -> RunSettings:
    assert config is not None
    settings = launchers.of_config(config)
    assert settings is not None
    return settings


def of_yaml(text: str) -> RunSettings:
    return of_config(read_yaml("c.yaml", text))


def of_python(text: str) -> RunSettings:
    return of_config(read_python(module_of(read_source("c.py", text.encode()))))


def of_command(text: str) -> dict[str, RunSettings]:
    """Return what the only command of a script asks for, by launcher."""
    (launch,) = read_launches("run.sh", text)
    return {settings.launcher: settings for settings in launchers.of_launch(launch)}


@pytest.mark.parametrize(
    ("text", "launcher", "precision"),
    [
        ("compute_environment: LOCAL_MACHINE\nmixed_precision: fp8\n", "accelerate", "fp8"),
        ("output_dir: o\nnum_train_epochs: 1\nbf16: true\nfp16: false\n", "transformers", "bf16"),
        ("stage: sft\ntemplate: qwen\noutput_dir: o\nnum_train_epochs: 1\nfp16: true\n", "llama-factory", "fp16"),
        ("base_model: m\nadapter: lora\nbf16: full\n", "axolotl", "bf16"),
        ("base_model: m\nadapter: lora\nbf16: true\nfp16: true\n", "axolotl", "bf16"),
        ("base_model: m\nadapter: lora\nbf16: auto\n", "axolotl", None),
        ("trainer:\n  precision: 16\n  devices: 1\n", "lightning", "fp16"),
        ("trainer:\n  precision: 16-true\n  devices: 1\n", "lightning", "fp16"),
        ("trainer:\n  precision: 32-true\n  devices: 1\n", "lightning", "no"),
        ("output_dir: o\nnum_train_epochs: 1\nbf16: ${oc.env:BF16}\n", "transformers", None),
    ],
)
def test_file_of_a_launcher_gives_the_precision_it_asks_for(text: str, launcher: str, precision: str | None) -> None:
    settings = of_yaml(text)
    assert (settings.launcher, settings.precision) == (launcher, precision)


@pytest.mark.parametrize(
    "text", ["fp16: true\nlr: 1\n", "trainer: x\nprecision: 16\n", "model:\n  base_model: m\nbf16: true\n"]
)
def test_file_that_no_launcher_knows_is_not_read_as_one(text: str) -> None:
    config = read_yaml("c.yaml", text)
    assert config is not None
    assert launchers.of_config(config) is None


def test_pure_half_is_told_from_autocast() -> None:
    assert of_yaml("trainer:\n  precision: bf16-true\n  devices: 1\n").pure is not None
    assert of_yaml("trainer:\n  precision: bf16-mixed\n  devices: 1\n").pure is None
    assert of_yaml("stage: sft\ntemplate: q\npure_bf16: true\n").pure is not None
    assert of_yaml("stage: sft\ntemplate: q\npure_bf16: false\n").pure is None
    full = of_yaml("base_model: m\nadapter: lora\nbf16: full\n").pure
    assert full is not None
    assert (full.value, full.line) == ("bf16", 3)


def test_value_of_the_environment_is_named_as_unknown() -> None:
    assert of_yaml("output_dir: o\nnum_train_epochs: 1\nbf16: ${oc.env:BF16}\n").unknown == {"bf16"}
    settings = of_command("torchrun a.py --output_dir o --num_train_epochs 1 --max_grad_norm $N\n")["transformers"]
    assert settings.unknown == {"max_grad_norm"}
    assert settings.clipping is None


def test_deepspeed_file_gives_what_it_hard_codes_and_text_is_no_boolean() -> None:
    text = '{"zero_optimization": {"stage": 2}, "gradient_clipping": 0.5, "%s": {"enabled": %s}}'
    settings = of_config(read_json("ds.json", text % ("bfloat16", "true")))
    assert (settings.launcher, settings.precision) == ("deepspeed", "bf16")
    assert settings.clipping is not None
    assert settings.clipping.value == pytest.approx(0.5)
    assert of_config(read_json("ds.json", text % ("fp16", '"auto"'))).precision is None
    assert of_config(read_json("ds.json", text % ("fp16", '"true"'))).precision is None


def test_quantized_base_has_its_kind_and_its_compute_dtype() -> None:
    command = "swift sft --model m --quant_bits 4 --bnb_4bit_compute_dtype float16 --torch_dtype bfloat16\n"
    settings = of_command(command)["ms-swift"]
    assert settings.quantization is not None
    assert settings.quantized_compute is not None
    assert settings.weights is not None
    assert settings.quantization.value == "4bit"
    assert (settings.quantized_compute.value, settings.weights.value) == ("float16", "bfloat16")


def test_xtuner_configuration_gives_weights_quantization_and_the_wrapper() -> None:
    settings = of_python(
        "from mmengine.optim import AmpOptimWrapper\nhalf = torch.float16\n"
        "model = dict(type=SFT, llm=dict(torch_dtype=half, quantization_config=dict(\n"
        "    load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16)))\n"
        "optim_wrapper = dict(type=AmpOptimWrapper, clip_grad=dict(max_norm=1), dtype='bfloat16')\n"
    )
    assert (settings.launcher, settings.precision) == ("mmengine", "bf16")
    assert settings.weights is not None
    assert settings.quantization is not None
    assert settings.quantized_compute is not None
    assert settings.clipping is not None
    assert (settings.weights.value, settings.quantization.value) == ("float16", "4bit")
    assert (settings.quantized_compute.value, settings.clipping.value) == ("bfloat16", 1)


def test_wrapper_of_mmengine_without_a_dtype_computes_in_float16_and_another_wrapper_asks_for_nothing() -> None:
    assert of_python("optim_wrapper = dict(type='AmpOptimWrapper', clip_grad=None)\n").precision == "fp16"
    assert of_python("optim_wrapper = dict(type='OptimWrapper', clip_grad=None)\n").precision is None
    assert of_python("optim_wrapper = dict(type='AmpOptimWrapper', dtype=chosen)\n").unknown == {"dtype"}


def test_lazy_call_and_bases_are_part_of_a_python_configuration() -> None:
    text = "with read_base():\n    from .a import *\nmodel = L(Model)(dtype='float16', depth=2)\n"
    config = read_python(module_of(read_source("c.py", text.encode())))
    assert config is not None
    assert config.get("model.dtype") == "float16"


def test_command_is_read_by_every_launcher_that_takes_part() -> None:
    settings = of_command(
        "accelerate launch --mixed_precision fp16 a.py --bf16 --output_dir o --num_train_epochs 1 --deepspeed d.json\n"
    )
    assert {name: each.precision for name, each in settings.items()} == {
        "accelerate": "fp16",
        "deepspeed": None,
        "transformers": "bf16",
    }
    assert settings["transformers"].engine is not None
    assert settings["transformers"].engine.value == "d.json"


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("python train.py --deepspeed configs/ds.json", "sub/configs/ds.json"),
        ("python train.py --deepspeed ./configs/ds.json", "sub/configs/ds.json"),
        ("python ../train.py --deepspeed ../configs/ds.json", "sub/configs/ds.json"),
        ("python train.py --deepspeed $(dirname $0)/ds.json", "sub/scripts/ds.json"),
        (
            "D=$(cd $(dirname ${BASH_SOURCE[0]})/.. && pwd)\npython train.py --deepspeed $D/configs/ds.json",
            "sub/configs/ds.json",
        ),
        ("python train.py --deepspeed $PWD/configs/ds.json", "sub/configs/ds.json"),
        ("cd ..\npython train.py --deepspeed configs/ds.json", "sub/configs/ds.json"),
        ("cd $(dirname $0)/..\npython train.py --deepspeed configs/ds.json", "sub/configs/ds.json"),
        ("python train.py --deepspeed ds.json", None),
        ("python train.py --deepspeed /etc/ds.json", None),
        ("python train.py --deepspeed $ROOT/configs/ds.json", None),
        ("python train.py --deepspeed ../../../ds.json", None),
    ],
)
def test_file_is_found_by_the_path_and_never_by_its_name_alone(command: str, found: str | None) -> None:
    known = {"sub/train.py", "sub/configs/ds.json", "sub/scripts/ds.json", "other/ds.json"}
    (launch,) = read_launches("sub/scripts/run.sh", command)
    assert file_of_launch(launch, launch.flags["--deepspeed"].value or "", known) == found


def test_file_that_a_configuration_names_is_in_its_folder_or_above() -> None:
    known = {"a/ds/z3.json", "b/ds/z3.json"}
    assert file_named("a/examples/sft.yaml", "ds/z3.json", known) == "a/ds/z3.json"
    assert file_named("c/sft.yaml", "ds/z3.json", known) is None


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"HF_HOME": "/x"}, "/x/accelerate/default_config.yaml"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/accelerate/default_config.yaml"),
    ],
)
def test_default_file_of_accelerate_is_where_accelerate_looks(environment: dict[str, str], path: str) -> None:
    assert default_path(environment).as_posix() == path


def test_default_file_decides_only_launches_that_name_no_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "accelerate").mkdir(parents=True)
    default = home / "accelerate" / "default_config.yaml"
    default.write_text("compute_environment: LOCAL_MACHINE\nmixed_precision: fp16\n", encoding="utf-8")
    monkeypatch.setenv("HF_HOME", str(home))
    code = tmp_path / "code"
    code.mkdir()
    flags = "--bf16 True --output_dir o --num_train_epochs 1"
    script = code / "run.sh"
    task = LintTask(paths=(code,), settings=LintSettings(select=("VC106",)), user_config=True)

    script.write_text(f"accelerate launch a.py {flags}\n", encoding="utf-8")
    (finding,) = apply_rules(task).findings
    assert (finding.path, finding.line) == (default.as_posix(), 2)
    assert not finding.bf16_edits
    assert not apply_rules(task.model_copy(update={"user_config": False})).findings

    for command in (
        f"accelerate launch --config_file other.yaml a.py {flags}\n",
        f"accelerate launch --mixed_precision bf16 a.py {flags}\n",
        f"torchrun a.py {flags}\n",
    ):
        script.write_text(command, encoding="utf-8")
        assert not apply_rules(task).findings


def test_missing_default_file_of_accelerate_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(LintError, match=r"accelerate/default_config\.yaml"):
        read_user_config({"HF_HOME": str(tmp_path)})
