"""Names of models whose weights are quantized: their kernels have a dtype of their own, which no flag changes.

GPTQ's kernels take float16 (https://github.com/QwenLM/Qwen-VL/blob/master/finetune/finetune_qlora_ds.sh says so for
AutoGPTQ), and so do AWQ's (https://huggingface.co/docs/transformers/quantization/awq).
"""

import re

_QUANTIZED = re.compile(r"(?<![a-z])(gptq|awq|int[48]|[48]-?bits?|w[48]a(8|16)|marlin|exl2|gguf|bnb)(?![a-z])")

BITSANDBYTES_KEYS = (
    *("load_in_8bit", "load_in_4bit", "llm_int8_threshold", "llm_int8_skip_modules"),
    *("llm_int8_enable_fp32_cpu_offload", "llm_int8_has_fp16_weight", "bnb_4bit_compute_dtype", "bnb_4bit_quant_type"),
    *("bnb_4bit_use_double_quant", "bnb_4bit_quant_storage"),
)
"""The keywords of ``BitsAndBytesConfig``, read in transformers 5.23.0; it logs others as unused."""


def is_quantized_name(name: str) -> bool:
    """Return whether the name of a model says that its weights are quantized: ``Qwen/Qwen-VL-Chat-Int4``."""
    return _QUANTIZED.search(name.lower().replace("_", "-")) is not None
