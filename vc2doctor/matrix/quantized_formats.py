"""Quantized and FP8 formats: which can be trained, since which release, and on which GPUs.

Every row has a source. Rows that say "measured" were tried with torchao 0.18.0 and bitsandbytes 0.50.2 on a CPU: a
linear layer was quantized, and the gradient of its input was looked at after a backward pass. What is not in the table
is unknown, and nothing is said about it.
"""

from typing import Literal, NamedTuple

Capability = tuple[int, int]


class QuantizedFormat(NamedTuple):
    """One way to store or compute in 8 bits or fewer."""

    id: str
    packages: tuple[str, ...]
    """Distributions that implement it; one of them is enough."""
    name: str
    trains: Literal["weights", "adapters", "nothing"]
    """What gets gradients: the weights themselves, only adapters on top of frozen weights, or nothing before the layer:
    it has no backward pass."""
    why: str
    """What is known, as a clause."""
    source: str
    signs: tuple[str, ...]
    """Dotted names whose use in code shows that it uses this format."""
    releases: str = ""
    """The releases that have it, as a specifier; empty: all."""
    capability: Capability | None = None
    """The lowest compute capability of NVIDIA GPUs; ``None``: no limit is known."""
    below: Capability | None = None
    """The first capability that is refused again."""
    on_cpu: str | None = None
    """The releases that were measured to do it without a GPU, as a specifier; ``None``: none was."""


FP8: Capability = (8, 9)
"""Ada. FP8 matrix products begin here: Transformer Engine and torchao refuse older GPUs."""
HOPPER: Capability = (9, 0)
BLACKWELL: Capability = (10, 0)
"""MXFP8 and NVFP4 matrix products begin here (arXiv 2509.25149)."""
CONSUMER_BLACKWELL: Capability = (12, 0)

_BNB = "https://github.com/bitsandbytes-foundation/bitsandbytes#system-requirements"
_TE = "https://github.com/NVIDIA/TransformerEngine/blob/main/transformer_engine/pytorch/quantization.py"
_AO = "https://github.com/pytorch/ao/blob/main/torchao/quantization/README.md"
_AO_FLOAT8 = "https://github.com/pytorch/ao/tree/main/torchao/float8"
_AO_BACKWARD = "https://github.com/pytorch/ao/issues/4376"
_AO_MX = "https://github.com/pytorch/ao/tree/main/torchao/prototype/mx_formats"
_AO_MX_TRAINING = "https://github.com/pytorch/ao/tree/main/torchao/prototype/moe_training"
_PEFT = "https://huggingface.co/docs/peft/developer_guides/quantization"
_TE_PACKAGES = ("transformer-engine", "transformer-engine-torch")
_MEASURED_GRADIENT = "measured: the frozen weights pass the gradient on, so adapters train"
_NO_BACKWARD = "measured: its result has no gradient, so nothing before the layer is trained"

FORMATS: tuple[QuantizedFormat, ...] = (
    QuantizedFormat(
        *("bitsandbytes-4bit", ("bitsandbytes",), "bitsandbytes NF4 and FP4 (QLoRA)", "adapters"),
        *(_MEASURED_GRADIENT, _BNB),
        signs=("bitsandbytes.nn.Linear4bit", "transformers.BitsAndBytesConfig"),
        releases=">=0.39.0",
        capability=(6, 0),
        on_cpu=">=0.50",
    ),
    QuantizedFormat(
        *("bitsandbytes-int8", ("bitsandbytes",), "bitsandbytes LLM.int8()", "adapters"),
        *(_MEASURED_GRADIENT, _BNB),
        signs=("bitsandbytes.nn.Linear8bitLt",),
        capability=(6, 0),
        on_cpu=">=0.50",
    ),
    QuantizedFormat(
        *("gptq", ("gptqmodel", "auto-gptq"), "GPTQ", "adapters"),
        *("adapters train with a kernel that has a backward pass, and exllama's has none: use_exllama=False", _PEFT),
        signs=("transformers.GPTQConfig", "gptqmodel.GPTQModel", "auto_gptq.AutoGPTQForCausalLM"),
    ),
    QuantizedFormat(
        *("awq", ("autoawq",), "AWQ", "adapters"),
        "adapters train on its GEMM layers, which have a backward pass since 0.2.0; the GEMV layers have none",
        "https://github.com/casper-hansen/AutoAWQ/pull/324",
        signs=("transformers.AwqConfig", "awq.AutoAWQForCausalLM"),
        releases=">=0.2.0",
    ),
    QuantizedFormat(
        *("torchao-float8-training", ("torchao",), "torchao FP8 training", "weights"),
        *("weights stay in high precision, and products are computed in FP8 forward and backward", _AO_FLOAT8),
        signs=("torchao.float8.convert_to_float8_training",),
        releases=">=0.5",
        capability=FP8,
    ),
    QuantizedFormat(
        *("torchao-weight-only", ("torchao",), "torchao weight-only (int8, intx, float8)", "adapters"),
        *(_MEASURED_GRADIENT, _AO),
        signs=(
            "torchao.quantization.Int8WeightOnlyConfig",
            "torchao.quantization.IntxWeightOnlyConfig",
            "torchao.quantization.Float8WeightOnlyConfig",
        ),
        on_cpu=">=0.18",
    ),
    QuantizedFormat(
        *("torchao-dynamic-int8", ("torchao",), "torchao dynamic int8 activations", "nothing"),
        *(_NO_BACKWARD, _AO_BACKWARD),
        signs=(
            "torchao.quantization.Int8DynamicActivationInt8WeightConfig",
            "torchao.quantization.Int8DynamicActivationIntxWeightConfig",
        ),
    ),
    QuantizedFormat(
        *("torchao-dynamic-float8", ("torchao",), "torchao dynamic FP8 activations", "nothing"),
        *("it is made for inference: under adapters its backward pass is missing", _AO_BACKWARD),
        signs=("torchao.quantization.Float8DynamicActivationFloat8WeightConfig",),
        capability=FP8,
    ),
    QuantizedFormat(
        *("torchao-mx-inference", ("torchao",), "torchao MX and NVFP4 inference", "nothing"),
        *("it is a workflow for inference", _AO_MX),
        signs=(
            "torchao.prototype.mx_formats.MXDynamicActivationMXWeightConfig",
            "torchao.prototype.mx_formats.NVFP4DynamicActivationNVFP4WeightConfig",
        ),
        capability=BLACKWELL,
    ),
    QuantizedFormat(
        *("torchao-mx-training", ("torchao",), "torchao MXFP8 and NVFP4 training", "weights"),
        *("products are computed in the format forward and backward; it is a prototype", _AO_MX_TRAINING),
        signs=(
            "torchao.prototype.moe_training.config.MXFP8TrainingOpConfig",
            "torchao.prototype.moe_training.nvfp4_training.nvfp4_training.NVFP4TrainingConfig",
        ),
        releases=">=0.18",
        capability=BLACKWELL,
    ),
    QuantizedFormat(
        *("te-fp8", _TE_PACKAGES, "Transformer Engine FP8 (DelayedScaling, Float8CurrentScaling)", "weights"),
        *("products are computed in FP8 forward and backward", _TE),
        signs=(
            "transformer_engine.pytorch.fp8_autocast",
            "transformer_engine.common.recipe.DelayedScaling",
            "transformer_engine.common.recipe.Float8CurrentScaling",
        ),
        capability=FP8,
    ),
    QuantizedFormat(
        *("te-fp8-blocks", _TE_PACKAGES, "Transformer Engine FP8 by blocks (Float8BlockScaling)", "weights"),
        *("products are computed in FP8 forward and backward; it needs CUDA 12.9 as well", _TE),
        signs=("transformer_engine.common.recipe.Float8BlockScaling",),
        releases=">=2.3",
        capability=HOPPER,
    ),
    QuantizedFormat(
        *("te-mxfp8", _TE_PACKAGES, "Transformer Engine MXFP8 (MXFP8BlockScaling)", "weights"),
        *("products are computed in MXFP8 forward and backward", _TE),
        signs=("transformer_engine.common.recipe.MXFP8BlockScaling",),
        releases=">=2.0",
        capability=BLACKWELL,
        below=CONSUMER_BLACKWELL,
    ),
    QuantizedFormat(
        *("te-nvfp4", _TE_PACKAGES, "Transformer Engine NVFP4 (NVFP4BlockScaling)", "weights"),
        *("products are computed in NVFP4 forward and backward", _TE),
        signs=("transformer_engine.common.recipe.NVFP4BlockScaling",),
        releases=">=2.8",
        capability=BLACKWELL,
    ),
)
"""The table, by package."""
