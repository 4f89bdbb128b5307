"""E. Weights and measurements that are NaN or infinite: never called good."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.faults.model import Command, Expected, NotPossibleError, Row, rows
from tests.faults.scene import EVENT_PIPE, needs_stack

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_GOOD = ("nothing speaks against", "float16 holds these texts", "bits spare", "Fit to train", "16.0 bits")
_PEAK = '{{"module": "m", "op": "linear", "largest": {0}}}'
_EMIT = """
import json, os
def raw(text):
    os.write(pipe._descriptor, (text.replace("{", '{"secret": "%s", ' % pipe._secret, 1) + chr(10)).encode())
for name in ("torch", "transformers", "peft"):
    pipe.emit("import", package=name, version="9", file=None, seconds=1)
"""


@rows(
    "E",
    {"nan": "NaN", "infinity": "Infinity", "null": "null", "negative": "-1", "beyond_floats": "1e999", "a_text": '"x"'},
    1,
    3,
    says_not=_GOOD,
)
def largest_value_that_is(scene: Scene, value: str) -> Command:
    """The target reports a largest value that is no size."""
    event = f'{{"event": "headroom", "tightest": {_PEAK.format(value)}, "layers": {{"m": {value}}}}}'
    source = f"{EVENT_PIPE}{_EMIT}\nraw({event!r})\npipe.emit('end')\nos._exit(0)\n"
    scene.file("model/config.json", "{}")
    return Command(("probe", "--model", "model", "--python", scene.target(torch=source)))


_SAVE = """
import sys, torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(["<unk>", "</s>", *"abcde"])}, unk_token="<unk>"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token="</s>").save_pretrained("tiny")
sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
LlamaForCausalLM(LlamaConfig(vocab_size=7, **sizes)).save_pretrained("tiny")
tensors = load_file("tiny/model.safetensors")
name = next(name for name in tensors if sys.argv[1] in name)
tensors[name].view(-1)[: int(sys.argv[3]) or None] = float(sys.argv[2])
save_file(tensors, "tiny/model.safetensors", metadata={"format": "pt"})
"""


def _damaged(name: str, tensor: str, value: str, count: str) -> Row:
    def plan(scene: Scene) -> Command:
        python = needs_stack()
        words = [python, "-c", _SAVE, tensor, value, count]
        run = subprocess.run(words, cwd=scene.tree, capture_output=True, text=True, check=False)
        if run.returncode:
            message = f"the checkpoint could not be saved: {run.stderr[-300:]}"
            raise NotPossibleError(message)
        return Command(("probe", "--model", "tiny", "--text", "a b c d e", "--python", python))

    sentence = f"A checkpoint whose weights are damaged: {name.replace('_', ' ')}."
    return Row("E", f"checkpoint_with_{name}", sentence, plan, Expected((1,), ("tensor",), _GOOD))


DAMAGED = (
    _damaged("only_nan", "embed", "nan", "0"),
    _damaged("one_nan_in_a_norm", "layernorm", "nan", "1"),
    _damaged("one_infinity", "q_proj", "inf", "1"),
    _damaged("one_negative_infinity", "down_proj", "-inf", "1"),
)
