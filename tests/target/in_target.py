"""Runs parts of the worker in a target interpreter: ``PYTHON -B in_target.py TARGET_FOLDER FOLDER``.

Prints the results as one JSON object; ``test_probe.py`` asserts what they must be.
"""

import importlib
import json
import os
import shutil
import sys
from typing import Any, Callable, Dict, List
from unittest import mock

import peft
import torch
import transformers
from worker_package import EventList, load_package

load_package(sys.argv[1])
checkpoint, gpu_questions, headroom, language_model, own_architecture, rounds, subjects = (
    importlib.import_module("worker.probe." + name)
    for name in ("checkpoint", "gpu_questions", "headroom", "language_model", "own_architecture", "rounds", "subject")
)
tensors, trained, training, user_function, watch = (
    importlib.import_module("worker.probe." + name)
    for name in ("tensors", "trained", "training", "user_function", "watch")
)
outliers, recipes, specs = (
    importlib.import_module("worker.shared." + name) for name in ("outliers", "recipes", "spec")
)
runtime = importlib.import_module("worker.runtime")
# The models are tiny, so threads would only wait for each other, above all where tests run in several processes.
torch.set_num_threads(1)
RUNTIME = runtime.Runtime(torch, transformers, peft, torch.device("cpu"))


def ladder() -> Dict[str, List[Any]]:
    """Plant a product of growing size; return the measured largest value and whether each recipe stays finite."""
    rungs: Dict[str, List[Any]] = {}
    # Within a few percent of the limit the result depends on rounding, so no rung is that close.
    for times in (0.25, 0.5, 0.7, 1.2, 2.0, 64.0):
        outliers.OUTLIERS["rung"] = (outliers.Outlier("padding", 255.9 * times**0.5, 255.9 * times**0.5, 1000.0),)
        spec = specs.Spec(plant="rung")
        sink = EventList()
        headroom.run(sink, RUNTIME, spec)
        row = [sink.events[0]["tightest"]["largest"]]
        for name in ("fp32", "bf16", "fp16-amp"):
            recipe = recipes.RECIPES[name]
            loop = training.Loop(RUNTIME, spec, recipe, subjects.build(RUNTIME, spec, recipe))
            # The second batch is the padded one, where the product is planted.
            row.append(loop.step(1)["loss"] is not None)
        rungs[str(times)] = row
    return rungs


def answers() -> Dict[str, Any]:
    """Return the answers to the questions for a GPU, on a CPU."""
    return {name: _answer(ask) for name, ask in gpu_questions.QUESTIONS.items()}


def _answer(ask: Any) -> List[Any]:
    try:
        answer = ask(RUNTIME)
    except Exception as error:  # noqa: BLE001 - an exception is an answer as well
        return [None, type(error).__name__]
    return [answer.value, answer.description]


def masks() -> Dict[str, float]:
    """Add masks to scores of 7; return the largest value that counts."""
    scores = torch.full((1, 1, 4, 4), 7.0)
    largest = {}
    for name, low in (("bert", -10000.0), ("finfo", torch.finfo(torch.float32).min), ("none", 0.0)):
        mask = torch.zeros(1, 1, 1, 4)
        mask[..., -1] = low
        ranges = watch.Ranges(torch.nn.Identity(), sizes=True)
        with ranges:
            scores + mask
        ranges.close()
        largest[name] = max(output.largest for output in ranges.outputs.values())
    return largest


def norms() -> Dict[str, Any]:
    """Return the norm of gradients whose squares do not fit into float16, of scaled ones, and of one with NaN."""
    many = [torch.tensor([180.0, 240.0], dtype=torch.float16), torch.tensor([400.0], dtype=torch.float64)]
    bad = [torch.tensor([1.0, float("nan")])]
    return {
        "many": tensors.joint_norm(tensors.gradient_norms(torch, many), 1.0),
        "scaled": tensors.joint_norm(
            tensors.gradient_norms(torch, [torch.tensor([3.0, 4.0], dtype=torch.bfloat16)]), 4.0
        ),
        "bad": tensors.joint_norm(tensors.gradient_norms(torch, bad), 1.0),
        "none": tensors.joint_norm(tensors.gradient_norms(torch, []), 1.0),
    }


def save_checkpoint(folder: str) -> str:
    """Save a tiny checkpoint with a tokenizer, as safetensors."""
    from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: PLC0415 - only this function needs them

    vocabulary = {word: number for number, word in enumerate(["<unk>", "</s>", *"abcdefgh"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106 - a token of text
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>")  # noqa: S106
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    torch.manual_seed(0)
    path = os.path.join(folder, "tiny")
    transformers.LlamaForCausalLM(config).save_pretrained(path, safe_serialization=True)
    fast.save_pretrained(path)
    return path


def refusals(path: str) -> Dict[str, str]:
    """Return the messages for checkpoints that do not fit, that are pickled or damaged, or that need code."""
    messages = {}
    for name, size in (("no room", 1000), ("room for bfloat16", (1 << 30) + 60000)):
        # Pretend that the machine has less memory.
        with mock.patch.object(checkpoint, "_free_bytes", return_value=size):
            try:
                messages[name] = checkpoint.load(RUNTIME, specs.Spec(checkpoint=path), trains=False).dtype
            except MemoryError as error:
                messages[name] = str(error)
    for name, files in (
        ("pickled", {"pytorch_model.bin": "x", "config.json": "{}"}),
        ("code", {"model.safetensors": "", "config.json": '{"auto_map": {"AutoModel": "evil.Model"}}'}),
        ("damaged", {"model.safetensors": "\1\0", "config.json": "{}"}),
    ):
        folder = os.path.join(os.path.dirname(path), name)
        os.mkdir(folder)
        for file_name, text in files.items():
            with open(os.path.join(folder, file_name), "w", encoding="utf-8") as file:
                file.write(text or "\2\0\0\0\0\0\0\0{}")
        try:
            messages[name] = str(checkpoint.load(RUNTIME, specs.Spec(checkpoint=folder), trains=False))
        except checkpoint.CheckpointError as error:
            messages[name] = str(error)
    return messages


def _save_pickle(folder: str, path: str) -> None:
    """Save the weights of the checkpoint in ``folder`` as a pickle, as torch does."""
    torch.save(transformers.LlamaForCausalLM.from_pretrained(folder).state_dict(), path)


def _add_index(folder: str, name: str) -> None:
    """Turn the checkpoint in ``folder`` into one with an index that names the file ``name`` for all tensors."""
    from safetensors import safe_open  # noqa: PLC0415 - only this function needs it

    single = os.path.join(folder, "model.safetensors")
    with safe_open(single, framework="pt") as opened:
        tensors = list(opened.keys())
    os.rename(single, os.path.join(folder, "part.safetensors"))
    with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
        json.dump({"metadata": {}, "weight_map": dict.fromkeys(tensors, name)}, file)


def _index_names_pickle_outside(folder: str) -> None:
    _save_pickle(folder, os.path.join(os.path.dirname(folder), "evil.bin"))
    _add_index(folder, "../evil.bin")


def _index_names_pickle_inside(folder: str) -> None:
    _save_pickle(folder, os.path.join(folder, "evil.bin"))
    _add_index(folder, "evil.bin")


def _index_names_misnamed_pickle(folder: str) -> None:
    _save_pickle(folder, os.path.join(folder, "evil.safetensors"))
    _add_index(folder, "evil.safetensors")


def _index_names_absolute_path(folder: str) -> None:
    _save_pickle(folder, os.path.join(folder, "evil.bin"))
    _add_index(folder, os.path.join(folder, "evil.bin"))


def _weights_link_to_pickle(folder: str) -> None:
    _save_pickle(folder, os.path.join(folder, "evil.bin"))
    os.remove(os.path.join(folder, "model.safetensors"))
    os.symlink("evil.bin", os.path.join(folder, "model.safetensors"))


def _weights_are_a_pipe(folder: str) -> None:
    os.remove(os.path.join(folder, "model.safetensors"))
    os.mkfifo(os.path.join(folder, "model.safetensors"))


def _adapter_beside_weights(folder: str) -> None:
    """Add an adapter's configuration, which names another base model, and a pickled adapter."""
    base = folder + "-base"
    shutil.copytree(folder, base)
    os.remove(os.path.join(base, "model.safetensors"))
    _save_pickle(folder, os.path.join(base, "pytorch_model.bin"))
    _save_pickle(folder, os.path.join(folder, "adapter_model.bin"))
    with open(os.path.join(folder, "adapter_config.json"), "w", encoding="utf-8") as file:
        json.dump({"peft_type": "LORA", "base_model_name_or_path": base, "task_type": "CAUSAL_LM"}, file)


def _config_names_other_weights(folder: str) -> None:
    """Let the configuration name other weights, as transformers allows."""
    _save_pickle(folder, os.path.join(folder, "evil.bin"))
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["transformers_weights"] = "other.safetensors.index.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)
    with open(os.path.join(folder, "other.safetensors.index.json"), "w", encoding="utf-8") as file:
        json.dump({"metadata": {}, "weight_map": {"lm_head.weight": "evil.bin"}}, file)


def _hub_cache(folder: str) -> None:
    """Store the files as the cache of huggingface_hub does: ``snapshots/REV/x -> ../../blobs/HASH``."""
    blobs = os.path.join(os.path.dirname(folder), "blobs")
    os.makedirs(blobs, exist_ok=True)
    for number, name in enumerate(sorted(os.listdir(folder))):
        blob = os.path.join(blobs, "hash" + str(number))
        os.rename(os.path.join(folder, name), blob)
        os.symlink(os.path.relpath(blob, folder), os.path.join(folder, name))


def _good_index(folder: str) -> None:
    _add_index(folder, "part.safetensors")


LAYOUTS: Dict[str, Callable[[str], None]] = {
    "outside": _index_names_pickle_outside,
    "inside": _index_names_pickle_inside,
    "misnamed": _index_names_misnamed_pickle,
    "absolute": _index_names_absolute_path,
    "linked pickle": _weights_link_to_pickle,
    "pipe": _weights_are_a_pipe,
    "adapter": _adapter_beside_weights,
    "steered": _config_names_other_weights,
    "hub cache": _hub_cache,
    "indexed": _good_index,
}


def layouts(path: str) -> Dict[str, str]:
    """Load the checkpoint in each layout; return the message, or how many tensors were loaded."""
    messages = {}
    for name, lay_out in LAYOUTS.items():
        home = os.path.join(os.path.dirname(path), "layout " + name)
        folder = os.path.join(home, "models--tiny", "snapshots") if name == "hub cache" else os.path.join(home, "tiny")
        shutil.copytree(path, folder)
        lay_out(folder)
        try:
            loaded = checkpoint.load(RUNTIME, specs.Spec(checkpoint=folder), trains=False)
            messages[name] = f"{len(loaded.model.state_dict())} tensors"
        except Exception as error:  # noqa: BLE001 - torch and safetensors refuse files as well
            messages[name] = str(error)
    return messages


def non_finite(path: str) -> List[Dict[str, Any]]:
    """Return the report on a checkpoint with three bad values in one tensor, which stays on disk for other tests."""
    model = transformers.LlamaForCausalLM.from_pretrained(path)
    with torch.no_grad():
        weight = model.model.layers[1].mlp.down_proj.weight
        weight[0, 0] = float("nan")
        weight[1, 2] = float("inf")
        weight[3, 4] = float("-inf")
    folder = shutil.copytree(path, path + "-bad")
    model.save_pretrained(folder, safe_serialization=True)
    loaded = checkpoint.load(RUNTIME, specs.Spec(checkpoint=folder), trains=False)
    tensors: List[Dict[str, Any]] = checkpoint.non_finite(RUNTIME, loaded.model)
    return tensors


_USER_MODULE = """
import torch
def nothing(): return None
def number(): return 3, 4
def vectors(): return torch.nn.Linear(2, 2), torch.ones(2, 2)
class Logits(torch.nn.Linear):
    def forward(self, inputs): return {"logits": super().forward(inputs)}
def logits(): return Logits(2, 2), torch.ones(2, 2)
class OneNumber(torch.nn.Linear):
    def forward(self, inputs): return {"loss": super().forward(inputs).mean().reshape(1)}
def good(dtype=None): return OneNumber(2, 2).to(dtype), [torch.ones(2, 2)]
def raises(dtype): return {}["weights"]
def no_memory(dtype): return torch.empty(1 << 62)
class Pairs(torch.nn.Linear):
    def forward(self, inputs, targets): return (super().forward(inputs) - targets).pow(2).mean()
def loader():
    data = torch.utils.data.TensorDataset(torch.ones(9, 2), torch.ones(9, 2))
    return Pairs(2, 2), torch.utils.data.DataLoader(data, batch_size=3)
def empty(): return OneNumber(2, 2), iter(())
class Rows(torch.utils.data.Dataset):
    def __len__(self): return 2
    def __getitem__(self, index): raise ValueError("row %d is damaged" % index)
def damaged(): return OneNumber(2, 2), torch.utils.data.DataLoader(Rows())
"""


def entries(folder: str) -> Dict[str, str]:
    """Return the messages for functions that return something else than they should."""
    with open(os.path.join(folder, "user_module.py"), "w", encoding="utf-8") as file:
        file.write(_USER_MODULE)
    sys.path.insert(0, folder)
    returning = ("missing", "nothing", "number", "vectors", "logits", "good", "loader", "empty")
    names = (*returning, "raises", "no_memory", "damaged")
    called = {name: _call_entry(specs.Spec(entry="user_module:" + name)) for name in names}
    path = os.path.join(folder, "user_module.py")
    called["file"] = _call_entry(specs.Spec(entry=path + ":good"))
    return called


def _call_entry(spec: Any) -> str:
    """Return the message of the error, or the dtypes of the parameters and the shape of the loss."""
    recipe = recipes.RECIPES["bf16"]
    try:
        subject = subjects.build(RUNTIME, spec, recipe)
        loss = training.loss_of(RUNTIME, spec, recipe, subject, subject.batches[0])
    except user_function.EntryError as error:
        return str(error)
    except RuntimeError as error:
        return "not the function's: %s" % type(error).__name__
    dtypes = {str(parameter.dtype) for parameter in subject.trainable_parameters().values()}
    return " ".join((*dtypes, str(tuple(loss.shape)), "from %d" % len(subject.batches)))


ARCHITECTURES: Dict[str, Dict[str, Any]] = {
    "llama": {"num_key_value_heads": 8, "bos_token_id": 128000, "eos_token_id": [128001, 128009], "vocab_size": 128256},
    "mistral": {"sliding_window": 4096},
    "qwen2": {"hidden_size": 3584, "num_attention_heads": 28, "num_key_value_heads": 4},
    "qwen3": {"head_dim": 128, "num_key_value_heads": 8},
    "qwen3_moe": {"hidden_size": 2048, "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768},
    "gemma2": {"hidden_size": 3584, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 256},
    "gemma3": {
        "text_config": {"model_type": "gemma3_text", "hidden_size": 2560},
        "vision_config": {"hidden_size": 1152},
    },
    "phi3": {
        "hidden_size": 3072,
        "max_position_embeddings": 131072,
        "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [2.0] * 48},
    },
    "falcon": {"hidden_size": 8192, "num_attention_heads": 128, "num_kv_heads": 8, "new_decoder_architecture": True},
    "gpt_neox": {"hidden_size": 6144, "num_attention_heads": 64, "rotary_pct": 0.25},
    "gpt2": {"n_embd": 1600, "n_layer": 48, "n_head": 25},
    "opt": {"hidden_size": 1024, "ffn_dim": 4096, "num_attention_heads": 16, "word_embed_proj_dim": 512},
    "bloom": {"hidden_size": 4096, "n_head": 32, "n_layer": 30},
    "mixtral": {"num_local_experts": 8, "num_key_value_heads": 8},
    "olmo2": {"pad_token_id": 100277, "vocab_size": 100352},
    "deepseek_v3": {
        "n_routed_experts": 256,
        "quantization_config": {"quant_method": "fp8"},
        "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekV3Config"},
    },
    "glm4": {"num_key_value_heads": 2, "partial_rotary_factor": 0.5},
    "cohere": {"hidden_size": 8192, "num_attention_heads": 64},
    "stablelm": {"partial_rotary_factor": 0.25},
    "mamba": {"hidden_size": 2560, "num_hidden_layers": 64},
    "qwen2_5_vl": {"hidden_size": 3584, "num_attention_heads": 28, "num_key_value_heads": 4},
    "gpt_neo": {"num_layers": 24, "attention_types": [[["global", "local"], 12]]},
    "gpt_oss": {"quantization_config": {"quant_method": "mxfp4"}},
    "gemma": {"num_hidden_layers": 10**12},
    "t5": {},
    "made_up": {},
    "chatglm": {"auto_map": {"AutoModelForCausalLM": "modeling_chatglm.ChatGLM"}},
}
"""By type: keys of published configurations; the others have the defaults of the classes."""


def architectures() -> Dict[str, List[Any]]:
    """Train each architecture for three steps under two recipes; return the class and the losses, or what failed."""
    return {name: _train_architecture(dict(keys, model_type=name)) for name, keys in ARCHITECTURES.items()}


def _train_architecture(config: Dict[str, Any]) -> List[Any]:
    sink = EventList()
    spec = specs.Spec(model="language", architecture=json.dumps(config))
    tried = own_architecture.run(sink, RUNTIME, spec)
    event = sink.events[0]
    if not tried.architecture:
        return [event["stage"]]
    losses = []
    for name in ("fp32", "bf16"):
        recipe = recipes.RECIPES[name]
        loop = training.Loop(RUNTIME, tried, recipe, subjects.build(RUNTIME, tried, recipe))
        losses.append([loop.step(number * 2)["loss"] for number in range(3)])
    return [event["model"], event["parameters"], losses]


def reuse() -> Dict[str, Any]:
    """Train recipes that share a base dtype in one process, and each in a runtime of its own; return what was emitted.

    ``built`` counts the models that the shared runtime built.
    """
    spec = specs.Spec(model="language")
    names = ("fp32", "bf16", "bf16-amp", "fp16-amp", "bf16-scaled", "fp16-scaled", "bf16-in-fp16-autocast")
    shared, alone = EventList(), EventList()
    together = runtime.Runtime(torch, transformers, peft, torch.device("cpu"))
    before = language_model.with_adapters
    counted = mock.Mock(side_effect=before)
    with mock.patch.object(trained, "with_adapters", counted):
        rounds.run(shared, together, spec, names, checks_adapter=False)
    for name in names:
        own = runtime.Runtime(torch, transformers, peft, torch.device("cpu"))
        rounds.run(alone, own, spec, [name], checks_adapter=False)
    return {"shared": _steps(shared), "alone": _steps(alone), "built": counted.call_count, "recipes": len(names)}


def _steps(sink: EventList) -> List[Dict[str, Any]]:
    """Return the events without times, and without the comparison with the control, which a run alone lacks."""
    ignored = ("seconds", "vanished")
    return [{key: value for key, value in event.items() if key not in ignored} for event in sink.events]


def main() -> None:
    """Print all results."""
    path = save_checkpoint(sys.argv[2])
    results: Dict[str, Any] = {"ladder": ladder(), "answers": answers(), "masks": masks(), "norms": norms()}
    results.update(checkpoint=path, refusals=refusals(path), entries=entries(sys.argv[2]))
    results.update(layouts=layouts(path), non_finite=non_finite(path), architectures=architectures())
    results.update(reuse=reuse())
    sys.stdout.write(json.dumps(results) + "\n")


main()
