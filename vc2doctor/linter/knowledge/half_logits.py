"""Since when the language models of transformers return their logits in the dtype of their weights."""

HALF_LOGITS_SINCE = "4.46.0"
"""The first transformers whose language models return logits in their own dtype; before, most took them to float32.

https://github.com/huggingface/transformers/blob/v4.45.2/src/transformers/models/llama/modeling_llama.py
"""
