"""The model type (``model_type`` of config.json) that the name of a published model stands for.

The table answers only if the configuration itself cannot be read, and the verdict then says that only the name decided.
It was written by hand; that transformers has each of these types is tested against ``matrices/architectures.json``.
"""

import re

_TYPES: tuple[tuple[str, str], ...] = (
    # The first pattern that matches decides, so a pattern for some releases of a family stands before the family's.
    (r"deepseek-(v3|r1(?!-distill))", "deepseek_v3"),
    (r"deepseek-(coder-)?v2", "deepseek_v2"),
    (r"deepseek-r1-distill-llama|deepseek-(llm|coder)", "llama"),
    (r"qwen-?3\.5.*a\d+b", "qwen3_5_moe"),
    (r"qwen-?3\.5", "qwen3_5"),
    (r"qwen-?3-next", "qwen3_next"),
    (r"qwen-?3-vl.*a\d+b", "qwen3_vl_moe"),
    (r"qwen-?3-vl", "qwen3_vl"),
    (r"qwen-?3.*a\d+b", "qwen3_moe"),
    (r"qwen-?3", "qwen3"),
    (r"qwen-?2\.5-omni", "qwen2_5_omni"),
    (r"qwen-?2\.5-vl", "qwen2_5_vl"),
    (r"qwen-?2-vl", "qwen2_vl"),
    (r"qwen-?1\.5-moe|qwen-?2.*a\d+b", "qwen2_moe"),
    (r"qwen-?(1\.5|2|2\.5)(?![\d.])|deepseek-r1-distill-qwen|qwq", "qwen2"),
    (r"gemma-?4", "gemma4"),
    (r"gemma-?3n", "gemma3n"),
    (r"gemma-?3-(270m|1b)", "gemma3_text"),
    (r"gemma-?3", "gemma3"),
    (r"gemma-?2(?!b)", "gemma2"),
    (r"recurrentgemma", "recurrent_gemma"),
    (r"(?<!pali)(?<!code)gemma", "gemma"),
    (r"llama-?4", "llama4"),
    (r"llava-onevision", "llava_onevision"),
    (r"llava.*-hf$", "llava"),
    (r"smollm-?3", "smollm3"),
    (r"falcon-?h1", "falcon_h1"),
    (r"falcon-?mamba", "falcon_mamba"),
    (r"falcon-?3|smollm|tinyllama|vicuna|alpaca|(?<![a-z])yi-\d", "llama"),
    (r"(?<!code-)(?<![a-z])llama-?[23]?(?![a-z])|codellama", "llama"),
    (r"mixtral", "mixtral"),
    (r"mistral-small-3\.[12]", "mistral3"),
    (r"mistral|zephyr", "mistral"),
    (r"phi-?3\.5-moe", "phimoe"),
    (r"phi-?[34](?!-(vision|multimodal))(?!\.5-vision)", "phi3"),
    (r"phi-?(1|1_5|2)(?!\d)", "phi"),
    (r"falcon", "falcon"),
    (r"pythia|gpt-?neox", "gpt_neox"),
    (r"gpt-?neo", "gpt_neo"),
    (r"gpt-?j", "gptj"),
    (r"gpt-?oss", "gpt_oss"),
    (r"gpt-?2", "gpt2"),
    (r"(?<![a-z])opt-\d", "opt"),
    (r"bloomz?(?![a-z])", "bloom"),
    (r"starcoder-?2", "starcoder2"),
    (r"starcoder", "gpt_bigcode"),
    (r"olmoe", "olmoe"),
    (r"olmo-?3", "olmo3"),
    (r"olmo-?2", "olmo2"),
    (r"glm-?4\.5", "glm4_moe"),
    (r"glm-?4.*0414", "glm4"),
    (r"command-?r7b", "cohere2"),
    (r"command-?r|aya-(23|expanse)", "cohere"),
    (r"stablelm", "stablelm"),
)


def model_type_of(name: str) -> str | None:
    """Return the model type of a published model, from its name or path, or ``None``."""
    # The last two parts are publisher and model; folders above them may be called anything.
    text = "/".join(name.rstrip("/").split("/")[-2:]).lower().replace("_", "-")
    return next((model_type for pattern, model_type in _TYPES if re.search(pattern, text)), None)
