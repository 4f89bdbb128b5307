"""Where each door leads into the packages: the modules that it imports, and the functions that its first step calls.

A root is a module (``transformers.trainer``), or a function in one (``peft.tuners.lora.torchao:dispatch_torchao``). A
root that a release does not have is left out for that release.
"""

_LOOP_ROOTS = (
    "peft",
    "transformers",
    "transformers.models.mistral.modeling_mistral",
    "transformers.models.llama.modeling_llama",
    "transformers.generation.utils",
    "transformers.modeling_utils",
    "accelerate",
    # Each of these is asked about every layer that get_peft_model replaces.
    "peft.tuners.lora.torchao:dispatch_torchao",
    "peft.tuners.lora.gptq:dispatch_gptq",
    "peft.tuners.lora.awq:dispatch_awq",
)
_TRAINER_ROOTS = (
    "transformers.trainer",
    "transformers.training_args",
    "transformers.data.data_collator",
    "transformers.training_args:TrainingArguments.__post_init__",
    "transformers.training_args:TrainingArguments._setup_devices",
    "transformers.trainer:Trainer.__init__",
    "transformers.trainer:Trainer.create_accelerator_and_postprocess",
    "transformers.trainer:Trainer.train",
    "transformers.trainer:Trainer._inner_training_loop",
    "transformers.trainer:Trainer._wrap_model",
    "transformers.trainer:Trainer.get_batch_samples",
    "transformers.trainer:Trainer.training_step",
    "transformers.trainer:Trainer.compute_loss",
)
_ADAPTER_ROOTS = (
    "transformers.integrations.peft",
    "transformers.integrations.peft:PeftAdapterMixin.load_adapter",
    "transformers.utils.peft_utils:check_peft_version",
    "peft.peft_model:PeftModel.from_pretrained",
    "peft.peft_model:PeftModel.load_adapter",
)
_KBIT_ROOTS = (
    "peft.utils.other:prepare_model_for_kbit_training",
    "peft.tuners.lora.bnb",
    "transformers.integrations.bitsandbytes",
    "transformers.quantizers.quantizer_bnb_4bit",
    "transformers.quantizers.quantizer_bnb_4bit:Bnb4BitHfQuantizer.validate_environment",
    "transformers.quantizers.quantizer_bnb_8bit:Bnb8BitHfQuantizer.validate_environment",
)

LOADED = {
    "torchao": ("torchao", "torchao.quantization", "torchao.dtypes"),
    "bitsandbytes": ("bitsandbytes",),
}
"""Packages that the loop loads only because others do where they are installed, with the modules that are loaded. What
these need in turn is needed together with a release that loads them."""

ROOTS = {
    "loop": (*_LOOP_ROOTS, *(module for modules in LOADED.values() for module in modules)),
    "accelerate": ("accelerate.accelerator:Accelerator.__init__",),
    "trainer": _TRAINER_ROOTS,
    "adapter": _ADAPTER_ROOTS,
    "kbit": _KBIT_ROOTS,
    "sft": ("trl.trainer.sft_trainer", "trl.trainer.sft_config"),
    "dpo": ("trl.trainer.dpo_trainer", "trl.trainer.dpo_config"),
    "grpo": ("trl.trainer.grpo_trainer", "trl.trainer.grpo_config"),
}
"""The roots of each door, without those of the doors that it goes through (``vc2doctor.matrix.door_table``)."""


ENTRIES = {"sft": ("trl", "SFTTrainer"), "dpo": ("trl", "DPOTrainer"), "grpo": ("trl", "GRPOTrainer")}
"""Doors that some releases of their package do not have: the module, and the name in it that is the door."""


def roots_in(door: str, package: str) -> tuple[str, ...]:
    """Return the roots of a door that lie in an import package."""
    return tuple(root for root in ROOTS[door] if root.partition(":")[0].partition(".")[0] == package)
