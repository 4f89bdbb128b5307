"""What holds of the worker's own parts, run in a target interpreter: ``PYTHON -B in_target.py TARGET_FOLDER FOLDER``.

Prints one JSON object; ``test_probe.py`` says what has to be in it.
"""

import importlib
import importlib.util
import json
import os
import shutil
import sys
from typing import Any, Callable, Dict, List
from unittest import mock

import peft
import torch
import transformers


def _package(folder: str) -> Any:
    place = os.path.join(folder, "__init__.py")
    spec = importlib.util.spec_from_file_location("worker", place, submodule_search_locations=[folder])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["worker"] = module
    spec.loader.exec_module(module)


_package(sys.argv[1])
checkpoint, gpu_questions, headroom, subject, training, user_function, watch = (
    importlib.import_module("worker.probe." + name)
    for name in ("checkpoint", "gpu_questions", "headroom", "subject", "training", "user_function", "watch")
)
outliers, recipes, specs = (
    importlib.import_module("worker.shared." + name) for name in ("outliers", "recipes", "spec")
)
runtime = importlib.import_module("worker.runtime")
RUNTIME = runtime.Runtime(torch, transformers, peft, torch.device("cpu"))


class Kept:
    """Keeps events."""

    def __init__(self) -> None:
        self.events: List[Dict[str, Any]] = []

    def emit(self, event: str, **fields: Any) -> None:
        """Keep one event."""
        self.events.append(dict(fields, event=event))


def ladder() -> Dict[str, List[Any]]:
    """Return, for a planted product of growing size, the measured largest value and whether each recipe is finite."""
    found: Dict[str, List[Any]] = {}
    # A product within a few percent of the limit is a coin toss: float16 rounds what is multiplied.
    for times in (0.25, 0.5, 0.7, 1.2, 2.0, 64.0):
        outliers.OUTLIERS["rung"] = (outliers.Outlier("padding", 255.9 * times**0.5, 255.9 * times**0.5, 1000.0),)
        spec = specs.Spec(plant="rung")
        kept = Kept()
        headroom.run(kept, RUNTIME, spec)
        row = [kept.events[0]["tightest"]["largest"]]
        for name in ("fp32", "bf16", "fp16-amp"):
            recipe = recipes.RECIPES[name]
            loop = training.Loop(RUNTIME, spec, recipe, subject.build(RUNTIME, spec, recipe))
            # The second batch is the padded one, where the product is planted.
            row.append(loop.step(1)["loss"] is not None)
        found[str(times)] = row
    return found


def answers() -> Dict[str, Any]:
    """Return what the questions for a GPU give on a CPU."""
    return {name: _answer(ask) for name, ask in gpu_questions.QUESTIONS.items()}


def _answer(ask: Any) -> List[Any]:
    try:
        value, _, told = ask(RUNTIME)
    except Exception as error:  # noqa: BLE001 - that it cannot be asked is an answer
        return [None, type(error).__name__]
    return [value, told]


def masks() -> Dict[str, float]:
    """Return the largest value that is counted of scores to which masks are added."""
    scores = torch.full((1, 1, 4, 4), 7.0)
    found = {}
    for name, low in (("bert", -10000.0), ("finfo", torch.finfo(torch.float32).min), ("none", 0.0)):
        mask = torch.zeros(1, 1, 1, 4)
        mask[..., -1] = low
        ranges = watch.Ranges(torch.nn.Identity(), sizes=True)
        with ranges:
            scores + mask
        ranges.close()
        found[name] = max(size for _, size in ranges.seen.values())
    return found


def save_checkpoint(folder: str) -> str:
    """Save a tiny checkpoint with a tokenizer, as safetensors."""
    from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: PLC0415 - this part alone needs them

    words = {word: number for number, word in enumerate(["<unk>", "</s>", "a", "b", "c", "d", "e", "f", "g", "h"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))  # noqa: S106 - a token of text
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>")  # noqa: S106
    config = transformers.LlamaConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    torch.manual_seed(0)
    place = os.path.join(folder, "tiny")
    transformers.LlamaForCausalLM(config).save_pretrained(place, safe_serialization=True)
    fast.save_pretrained(place)
    return place


def refusals(place: str) -> Dict[str, str]:
    """Return how checkpoints are refused that do not fit, that are pickled, or that bring code."""
    spec = specs.Spec(weights=place)
    found = {}
    for name, size in (("no room", 1000), ("room for bfloat16", (1 << 30) + 60000)):
        # The machine's memory is what is another one here.
        with mock.patch.object(checkpoint, "_free", return_value=size):
            try:
                found[name] = checkpoint.load(RUNTIME, spec, trains=False).dtype
            except MemoryError as error:
                found[name] = str(error)
    for name, files in (
        ("pickled", {"pytorch_model.bin": "x", "config.json": "{}"}),
        ("code", {"model.safetensors": "", "config.json": '{"auto_map": {"AutoModel": "evil.Model"}}'}),
        ("damaged", {"model.safetensors": "\1\0", "config.json": "{}"}),
    ):
        folder = os.path.join(os.path.dirname(place), name)
        os.mkdir(folder)
        for file, text in files.items():
            with open(os.path.join(folder, file), "w", encoding="utf-8") as written:
                written.write(text or "\2\0\0\0\0\0\0\0{}")
        try:
            found[name] = str(checkpoint.load(RUNTIME, specs.Spec(weights=folder), trains=False))
        except checkpoint.CheckpointError as error:
            found[name] = str(error)
    return found


def _pickled(folder: str, path: str) -> None:
    """Save the weights of the checkpoint in ``folder`` as a pickle, as torch does."""
    torch.save(transformers.LlamaForCausalLM.from_pretrained(folder).state_dict(), path)


def _indexed(folder: str, name: str) -> None:
    """Make the checkpoint in ``folder`` one with an index, whose tensors all lie in the file ``name``."""
    from safetensors import safe_open  # noqa: PLC0415 - this part alone needs it

    single = os.path.join(folder, "model.safetensors")
    with safe_open(single, framework="pt") as opened:
        tensors = list(opened.keys())
    os.rename(single, os.path.join(folder, "part.safetensors"))
    with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
        json.dump({"metadata": {}, "weight_map": dict.fromkeys(tensors, name)}, file)


def _outside(folder: str) -> None:
    _pickled(folder, os.path.join(os.path.dirname(folder), "evil.bin"))
    _indexed(folder, "../evil.bin")


def _inside(folder: str) -> None:
    _pickled(folder, os.path.join(folder, "evil.bin"))
    _indexed(folder, "evil.bin")


def _misnamed(folder: str) -> None:
    _pickled(folder, os.path.join(folder, "evil.safetensors"))
    _indexed(folder, "evil.safetensors")


def _absolute(folder: str) -> None:
    _pickled(folder, os.path.join(folder, "evil.bin"))
    _indexed(folder, os.path.join(folder, "evil.bin"))


def _linked_pickle(folder: str) -> None:
    _pickled(folder, os.path.join(folder, "evil.bin"))
    os.remove(os.path.join(folder, "model.safetensors"))
    os.symlink("evil.bin", os.path.join(folder, "model.safetensors"))


def _pipe(folder: str) -> None:
    os.remove(os.path.join(folder, "model.safetensors"))
    os.mkfifo(os.path.join(folder, "model.safetensors"))


def _adapter(folder: str) -> None:
    """Add an adapter's configuration, which names another base model, and a pickled adapter."""
    other = folder + "-base"
    shutil.copytree(folder, other)
    os.remove(os.path.join(other, "model.safetensors"))
    _pickled(folder, os.path.join(other, "pytorch_model.bin"))
    _pickled(folder, os.path.join(folder, "adapter_model.bin"))
    with open(os.path.join(folder, "adapter_config.json"), "w", encoding="utf-8") as file:
        json.dump({"peft_type": "LORA", "base_model_name_or_path": other, "task_type": "CAUSAL_LM"}, file)


def _steered(folder: str) -> None:
    """Let the configuration name other weights, as transformers allows."""
    _pickled(folder, os.path.join(folder, "evil.bin"))
    config = os.path.join(folder, "config.json")
    with open(config, encoding="utf-8") as file:
        found = json.load(file)
    found["transformers_weights"] = "other.safetensors.index.json"
    with open(config, "w", encoding="utf-8") as file:
        json.dump(found, file)
    with open(os.path.join(folder, "other.safetensors.index.json"), "w", encoding="utf-8") as file:
        json.dump({"metadata": {}, "weight_map": {"lm_head.weight": "evil.bin"}}, file)


def _hub_cache(folder: str) -> None:
    """Lay the files out as the cache of huggingface_hub does: ``snapshots/REV/x -> ../../blobs/HASH``."""
    blobs = os.path.join(os.path.dirname(folder), "blobs")
    os.makedirs(blobs, exist_ok=True)
    for number, name in enumerate(sorted(os.listdir(folder))):
        blob = os.path.join(blobs, "hash" + str(number))
        os.rename(os.path.join(folder, name), blob)
        os.symlink(os.path.relpath(blob, folder), os.path.join(folder, name))


def _indexed_well(folder: str) -> None:
    _indexed(folder, "part.safetensors")


LAYOUTS: Dict[str, Callable[[str], None]] = {
    "outside": _outside,
    "inside": _inside,
    "misnamed": _misnamed,
    "absolute": _absolute,
    "linked pickle": _linked_pickle,
    "pipe": _pipe,
    "adapter": _adapter,
    "steered": _steered,
    "hub cache": _hub_cache,
    "indexed": _indexed_well,
}


def layouts(place: str) -> Dict[str, str]:
    """Return, for each layout of the checkpoint's files, what loading it says."""
    found = {}
    for name, lay_out in LAYOUTS.items():
        home = os.path.join(os.path.dirname(place), "layout " + name)
        folder = os.path.join(home, "models--tiny", "snapshots") if name == "hub cache" else os.path.join(home, "tiny")
        shutil.copytree(place, folder)
        lay_out(folder)
        try:
            loaded = checkpoint.load(RUNTIME, specs.Spec(weights=folder), trains=False)
            found[name] = f"{len(loaded.model.state_dict())} tensors"
        except Exception as error:  # noqa: BLE001 - what is refused may be refused by anybody
            found[name] = str(error)
    return found


def non_finite(place: str) -> List[Dict[str, Any]]:
    """Return what is said of a checkpoint with three bad values in one tensor, which is left on disk beside it."""
    model = transformers.LlamaForCausalLM.from_pretrained(place)
    with torch.no_grad():
        weight = model.model.layers[1].mlp.down_proj.weight
        weight[0, 0] = float("nan")
        weight[1, 2] = float("inf")
        weight[3, 4] = float("-inf")
    bad = shutil.copytree(place, place + "-bad")
    model.save_pretrained(bad, safe_serialization=True)
    loaded = checkpoint.load(RUNTIME, specs.Spec(weights=bad), trains=False)
    found: List[Dict[str, Any]] = checkpoint.non_finite(RUNTIME, loaded.model)
    return found


_GIVEN = """
import torch
def nothing(): return None
def number(): return 3, 4
def vectors(): return torch.nn.Linear(2, 2), torch.ones(2, 2)
class Logits(torch.nn.Linear):
    def forward(self, given): return {"logits": super().forward(given)}
def logits(): return Logits(2, 2), torch.ones(2, 2)
class One(torch.nn.Linear):
    def forward(self, given): return {"loss": super().forward(given).mean().reshape(1)}
def good(dtype=None): return One(2, 2).to(dtype), [torch.ones(2, 2)]
"""


def entries(folder: str) -> Dict[str, str]:
    """Return what is said of functions that give something else than they should."""
    with open(os.path.join(folder, "given_by_user.py"), "w", encoding="utf-8") as written:
        written.write(_GIVEN)
    sys.path.insert(0, folder)
    return {
        name: _said(specs.Spec(entry="given_by_user:" + name))
        for name in ("missing", "nothing", "number", "vectors", "logits", "good")
    }


def _said(spec: Any) -> str:
    recipe = recipes.RECIPES["bf16"]
    try:
        made = subject.build(RUNTIME, spec, recipe)
        loss = training.loss_of(RUNTIME, spec, recipe, made, made.batches[0])
    except user_function.EntryError as error:
        return str(error)
    kinds = {str(parameter.dtype) for parameter in made.parameters().values()}
    return " ".join((*kinds, str(tuple(loss.shape))))


def main() -> None:
    """Print what was found."""
    place = save_checkpoint(sys.argv[2])
    found: Dict[str, Any] = {"ladder": ladder(), "answers": answers(), "masks": masks(), "place": place}
    found.update(refusals=refusals(place), entries=entries(sys.argv[2]))
    found.update(layouts=layouts(place), non_finite=non_finite(place))
    sys.stdout.write(json.dumps(found) + "\n")


main()
