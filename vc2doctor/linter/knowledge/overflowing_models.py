"""Architectures whose activations leave the range of float16.

T5 was trained in bfloat16, and its feed-forward layers give values above 65504:
https://github.com/huggingface/transformers/issues/5651 (66246 from ``wo``), and the issues 9295 and 14189 there.
"""

OVERFLOWING_CLASSES = ("T5For", "MT5For", "UMT5For", "LongT5For", "T5Model", "MT5Model")
"""Beginnings of the names of the classes of transformers with these activations."""
OVERFLOWING_NAMES = r"(^|[/_\s-])(flan-|m|um|long-?|code)?t5([-_]|$)"
"""What the names of their published weights have."""
URL = "https://github.com/huggingface/transformers/issues/9295"
URL_OF_VAE = "https://huggingface.co/madebyollin/sdxl-vae-fp16-fix"
"""The autoencoder of SDXL gives NaN in float16; ``force_upcast`` of its configuration says so to diffusers."""
