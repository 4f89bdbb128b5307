"""A real checkpoint from disk: never from the network, never code that came with it, never more than memory holds."""

import copy
from typing import Any, Dict, List, NamedTuple, Optional

from ..runtime import LoadedCheckpoint, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import checkpoint_files
from .checkpoint_files import CheckpointError, Files
from .language_model import adapted

_SLACK = 1 << 30
"""Bytes for activations, gradients and adapters."""
_ROWS = 2
_IGNORED = -100


class Batch(NamedTuple):
    """Token ids, attention mask and labels, of shape (rows, length)."""

    ids: Any
    mask: Any
    labels: Any


def load(runtime: Runtime, spec: Spec, *, trains: bool) -> LoadedCheckpoint:
    """Load the checkpoint of ``spec``: in float32, or in bfloat16 where only that fits and nothing is trained.

    Raises:
        CheckpointError: it is not a safetensors folder or a GGUF file, or needs code of its own.
        MemoryError: it does not fit.
    """
    files = checkpoint_files.resolve(spec.checkpoint)
    dtype = _fitting(runtime, files.values, trains=trains)
    settings: Dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    place = {"gguf_file": files.gguf} if files.gguf else {}
    if not files.gguf:
        settings["use_safetensors"] = True
    settings[_dtype_key(runtime.transformers)] = getattr(runtime.torch, dtype)
    if spec.attention != "default":
        settings["attn_implementation"] = spec.attention
    folder = checkpoint_files.stage(files)
    with checkpoint_files.without_pickles(runtime.torch):
        model = _class(runtime.transformers, files).from_pretrained(folder, **place, **settings)
        tokenizer = runtime.transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **place
        )
    model.requires_grad_(False)  # noqa: FBT003 - torch's own signature
    # Not every loader keeps to the dtype that it was asked for.
    return LoadedCheckpoint(model.to(device=runtime.device, dtype=getattr(runtime.torch, dtype)), tokenizer, dtype)


def non_finite(runtime: Runtime, model: Any) -> List[Dict[str, Any]]:
    """Return name, count of values that are not finite, and size, of every tensor of ``model`` that has such values.

    ``-inf`` in a buffer is an attention mask, and is not counted.
    """
    torch = runtime.torch
    parameters = {name for name, _ in model.named_parameters()}
    found = []
    for name, tensor in model.state_dict().items():
        if not torch.is_tensor(tensor) or not tensor.is_floating_point():
            continue
        bad = ~torch.isfinite(tensor)
        if name not in parameters:
            bad &= tensor != float("-inf")
        count = int(bad.sum())
        if count:
            found.append({"tensor": name, "values": count, "of": tensor.numel()})
    return found


def ranged(runtime: Runtime, loaded: LoadedCheckpoint, recipe: Recipe) -> Any:
    """Return the model in ``recipe``'s base dtype, without adapters: the loaded one itself where it is in that."""
    if recipe.base == loaded.dtype:
        return loaded.model
    return copy.deepcopy(loaded.model).to(getattr(runtime.torch, recipe.base))


def trainable(runtime: Runtime, loaded: LoadedCheckpoint, spec: Spec, recipe: Recipe) -> Any:
    """Return a copy of the model in ``recipe``'s base dtype, with adapters on those of the targets that it has.

    Raises:
        CheckpointError: it has none of the targets.
    """
    made = copy.deepcopy(loaded.model).to(getattr(runtime.torch, recipe.base))
    names = {name.rsplit(".", 1)[-1] for name, _ in made.named_modules()}
    targets = tuple(target for target in spec.targets if target in names)
    if not targets:
        raise CheckpointError("the model has none of the profile's LoRA targets: %s" % ", ".join(spec.targets))
    return adapted(runtime, spec._replace(targets=targets), made)


def batches(runtime: Runtime, loaded: LoadedCheckpoint, spec: Spec) -> List[Batch]:
    """Return the texts as batches of two rows, padded on the right; padding is ignored by the loss."""
    torch = runtime.torch
    rows = [loaded.tokenizer(text)["input_ids"][: spec.longest] for text in spec.texts]
    rows = [row for row in rows if len(row) > 1]
    if not rows:
        raise CheckpointError("none of %d texts is longer than one token" % len(spec.texts))
    made = []
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        length = max(len(row) for row in part)
        padding = loaded.tokenizer.pad_token_id or loaded.tokenizer.eos_token_id or 0
        ids = torch.tensor([row + [padding] * (length - len(row)) for row in part])
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in part])
        labels = ids.masked_fill(mask == 0, _IGNORED)
        made.append(Batch(*(one.to(runtime.device) for one in (ids, mask, labels))))
    return made


def _class(transformers: Any, files: Files) -> Any:
    """Return the class that the checkpoint names, so that a vision-language model is one here as well."""
    found = (getattr(transformers, name, None) for name in files.architectures)
    return next((one for one in found if hasattr(one, "from_pretrained")), transformers.AutoModelForCausalLM)


def _dtype_key(transformers: Any) -> str:
    major, minor = (int(part) for part in transformers.__version__.split(".")[:2])
    # https://github.com/huggingface/transformers/pull/39782 renamed it.
    return "dtype" if (major, minor) >= (4, 56) else "torch_dtype"


def _fitting(runtime: Runtime, count: int, *, trains: bool) -> str:
    """Return the dtype in which a model of ``count`` numbers fits, with the copies that are made of it."""
    free = _free(runtime)
    exact = count * (8 if trains else 6) + _SLACK
    if free is None or exact <= free:
        return "float32"
    half = count * 2 + _SLACK
    if not trains and half <= free:
        return "bfloat16"
    need = exact if trains else half
    raise MemoryError(
        "the checkpoint has %.3g billion weights and needs %.1f GiB; %.1f GiB are free on %s"
        % (count / 1e9, need / 2**30, free / 2**30, runtime.device)
    )


def _free(runtime: Runtime) -> Optional[int]:
    if runtime.device.type == "cuda":
        return min(int(runtime.torch.cuda.mem_get_info(runtime.device)[0]), _free_memory() or 1 << 62)
    return _free_memory()


def _free_memory() -> Optional[int]:
    """Return the bytes that this process can still take, by the kernel and by its control group."""
    found = []
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found += [int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:")]
    except OSError:
        return None
    try:
        limit, used = (_number("/sys/fs/cgroup/" + name) for name in ("memory.max", "memory.current"))
        found.append(limit - used)
    except (OSError, ValueError):
        pass
    return min(found) if found else None


def _number(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())
