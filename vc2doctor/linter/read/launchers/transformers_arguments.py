"""Reads the arguments of transformers' trainer: flags of a command, or a YAML or JSON file for ``HfArgumentParser``.

https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments
"""

from vc2doctor.linter.read.config import Config, Launch
from vc2doctor.linter.read.launchers import Launcher
from vc2doctor.linter.read.run_settings import Keys, RunSettings, Setting, keys_of_config, keys_of_flags, switched_on

_OUTPUT_KEYS = ("output_dir",)
_TRAINER_KEYS = (
    *("per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "lr_scheduler_type"),
    *("save_strategy", "evaluation_strategy", "eval_strategy", "warmup_ratio", "save_total_limit", "logging_steps"),
)
MODEL_KEYS = ("model_name_or_path", "base_model", "model_id_or_path", "model_id", "model_path", "model", "model_name")
"""Keys that name the model that is trained."""
_QUANTIZED_SWITCHES = {"load_in_4bit": "4bit", "load_in_8bit": "8bit", "load_4bit": "4bit", "q_lora": "quantized"}
_QUANTIZED_TEXTS = ("quant_method", "quantization_method")
_QUANTIZED_BITS = ("quantization_bit", "quant_bits", "bits")
SETTINGS = ("fp16", "bf16", "max_grad_norm", "deepspeed", "torch_dtype", "dtype", "bnb_4bit_compute_dtype")
"""The settings that decide what this model says."""


def is_of_trainer(keys: Keys) -> bool:
    """Return whether settings are those of transformers' trainer: where to write, and how to train."""
    return keys.has_any(*_OUTPUT_KEYS) and keys.has_any(*_TRAINER_KEYS)


def settings_of_keys(keys: Keys, launcher: str) -> RunSettings:
    """Return what the arguments of transformers' trainer ask for; other frameworks have the same names."""
    return RunSettings(
        launcher,
        keys.path,
        precisions=switched_on(keys, ("fp16", "fp16"), ("bf16", "bf16")),
        weights=keys.dtype("torch_dtype", "dtype"),
        quantization=quantization(keys),
        quantized_compute=keys.dtype("bnb_4bit_compute_dtype"),
        clipping=keys.number("max_grad_norm"),
        engine=keys.text("deepspeed", "deepspeed_config"),
        models=models(keys),
        unknown=keys.unknown(*SETTINGS),
    )


def models(keys: Keys) -> tuple[Setting[str], ...]:
    """Return the models that settings name."""
    names = (keys.text(name) for name in MODEL_KEYS)
    return tuple(name for name in names if name is not None)


def quantization(keys: Keys) -> Setting[str] | None:
    """Return how the settings quantize the base model, or ``None``."""
    for name, kind in _QUANTIZED_SWITCHES.items():
        switch = keys.switch(name)
        if switch is not None and switch.value:
            return switch.meaning(kind)
    bits = keys.number(*_QUANTIZED_BITS)
    if bits is not None and bits.value in (2, 3, 4, 8):
        return bits.meaning(f"{int(bits.value)}bit")
    return keys.text(*_QUANTIZED_TEXTS)


def _of_config(config: Config) -> RunSettings | None:
    keys = keys_of_config(config)
    return settings_of_keys(keys, "transformers") if config.kind in ("yaml", "json") and is_of_trainer(keys) else None


def _of_launch(launch: Launch) -> RunSettings | None:
    program_flags = {name: flag for name, flag in launch.flags.items() if launch.launcher_flags.get(name) != flag}
    keys = keys_of_flags(launch, program_flags)
    return settings_of_keys(keys, "transformers") if is_of_trainer(keys) and launch.program.endswith(".py") else None


LAUNCHER = Launcher("transformers", of_config=_of_config, of_launch=_of_launch, is_general=True)
