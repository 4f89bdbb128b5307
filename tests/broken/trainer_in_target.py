"""Run by the target's interpreter: train LoRA adapters for two steps through ``transformers.Trainer``, as a user would.

It knows nothing of the doctor. The exit code is 0 if the loss is finite; otherwise, the last line names the error.
"""

import math
import sys
import tempfile

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments


def main() -> int:
    """Train, and return the exit code."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=256, **sizes))
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    rows = [{"input_ids": ids, "labels": ids} for ids in (list(range(start, start + 16)) for start in range(8))]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(folder, max_steps=2, per_device_train_batch_size=2, report_to=[])
        loss = Trainer(model=adapted, args=arguments, train_dataset=rows).train().training_loss
    print(f"loss {loss}")
    return 0 if math.isfinite(loss) else 1


if __name__ == "__main__":
    sys.exit(main())
