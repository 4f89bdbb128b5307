"""Loads a checkpoint from disk: never from the network, never code of its own, never more than memory can hold."""

import copy
from typing import Any, Dict, List, NamedTuple, Optional

from ..runtime import LoadedCheckpoint, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import checkpoint_files
from .checkpoint_files import CheckpointError, Files, TokenizerMissingError
from .tensors import IGNORED_LABEL
from .trained import prepare

BYTES_TO_MEASURE = 6
"""Bytes a weight to measure the range: the float32 model, and its copy in bfloat16."""
BYTES_TO_TRAIN = 8
"""Bytes a weight to train: the float32 model, and its copy in float32."""
BYTES_IN_HALF = 2
RESERVE = 1 << 30
"""Bytes for activations, gradients and adapters."""
_ROWS = 2


class TextBatch(NamedTuple):
    """Token ids, attention mask and labels, of shape (rows, length)."""

    ids: Any
    mask: Any
    labels: Any


def load(runtime: Runtime, spec: Spec, *, trains: bool) -> LoadedCheckpoint:
    """Load the checkpoint of ``spec``: in float32, or in bfloat16 if only that fits and nothing is trained.

    Raises:
        CheckpointError: it is not a safetensors folder or a GGUF file, lacks a file, or needs code of its own.
        MemoryError: it does not fit into memory.
    """
    files = checkpoint_files.resolve(spec.checkpoint)
    if not checkpoint_files.has_tokenizer(files):
        raise TokenizerMissingError("%s holds no tokenizer." % spec.checkpoint)
    dtype = _fitting_dtype(runtime, files.values, trains=trains)
    common: Dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if files.gguf:
        common["gguf_file"] = files.gguf
    options = {**common, _dtype_key(runtime.transformers): getattr(runtime.torch, dtype)}
    if not files.gguf:
        options["use_safetensors"] = True
    if spec.attention != "default":
        options["attn_implementation"] = spec.attention
    folder = checkpoint_files.stage(files)
    with checkpoint_files.without_pickles(runtime.torch):
        model = _model_class(runtime.transformers, files).from_pretrained(folder, **options)
        tokenizer = runtime.transformers.AutoTokenizer.from_pretrained(folder, **common)
    model.requires_grad_(False)  # noqa: FBT003 - torch's own signature
    # Some loaders ignore the dtype that they were given.
    return LoadedCheckpoint(model.to(device=runtime.device, dtype=getattr(runtime.torch, dtype)), tokenizer, dtype)


def non_finite(runtime: Runtime, model: Any) -> List[Dict[str, Any]]:
    """Return the tensors of ``model`` that hold NaN or infinity: name, number of such values, number of values.

    ``-inf`` in a buffer is an attention mask, and is not counted.
    """
    torch = runtime.torch
    parameters = {name for name, _ in model.named_parameters()}
    tensors = []
    for name, tensor in model.state_dict().items():
        if not torch.is_tensor(tensor) or not tensor.is_floating_point():
            continue
        bad = ~torch.isfinite(tensor)
        if name not in parameters:
            bad &= tensor != float("-inf")
        count = int(bad.sum())
        if count:
            tensors.append({"tensor": name, "values": count, "of": tensor.numel()})
    return tensors


def plain_model(runtime: Runtime, loaded: LoadedCheckpoint, dtype: str) -> Any:
    """Return the model in ``dtype``, without adapters; it is a copy only if the dtype differs."""
    if dtype == loaded.dtype:
        return loaded.model
    return copy.deepcopy(loaded.model).to(getattr(runtime.torch, dtype))


def trainable_model(runtime: Runtime, loaded: LoadedCheckpoint, spec: Spec, recipe: Recipe) -> Any:
    """Return a copy of the model as ``recipe`` trains it.

    Adapters are on the spec's targets that it has, or on every linear layer if it has none of them.
    """
    return prepare(runtime, spec, recipe, copy.deepcopy(loaded.model))


def batches(runtime: Runtime, loaded: LoadedCheckpoint, spec: Spec) -> List[TextBatch]:
    """Return the texts as batches of two rows, padded on the right; the loss ignores the padding.

    Raises:
        CheckpointError: no text is longer than one token, so there is nothing to predict.
    """
    torch = runtime.torch
    rows = [loaded.tokenizer(text)["input_ids"][: spec.max_tokens] for text in spec.texts]
    rows = [row for row in rows if len(row) > 1]
    if not rows:
        raise CheckpointError("None of the %d texts is longer than one token. Pass longer texts." % len(spec.texts))
    padding = loaded.tokenizer.pad_token_id or loaded.tokenizer.eos_token_id or 0
    built = []
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        length = max(len(row) for row in part)
        ids = torch.tensor([row + [padding] * (length - len(row)) for row in part])
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in part])
        labels = ids.masked_fill(mask == 0, IGNORED_LABEL)
        built.append(TextBatch(*(tensor.to(runtime.device) for tensor in (ids, mask, labels))))
    return built


def _model_class(transformers: Any, files: Files) -> Any:
    """Return the class that the checkpoint names, so that a vision-language model is loaded as one."""
    classes = (getattr(transformers, name, None) for name in files.architectures)
    return next((each for each in classes if hasattr(each, "from_pretrained")), transformers.AutoModelForCausalLM)


def _dtype_key(transformers: Any) -> str:
    major, minor = (int(part) for part in transformers.__version__.split(".")[:2])
    # https://github.com/huggingface/transformers/pull/39782 renamed it.
    return "dtype" if (major, minor) >= (4, 56) else "torch_dtype"


def _fitting_dtype(runtime: Runtime, count: int, *, trains: bool) -> str:
    """Return the dtype in which a model of ``count`` weights fits into memory, with the copy that is made of it.

    Raises:
        MemoryError: it fits in none.
    """
    free = _free_bytes(runtime)
    exact = count * (BYTES_TO_TRAIN if trains else BYTES_TO_MEASURE) + RESERVE
    if free is None or exact <= free:
        return "float32"
    half = count * BYTES_IN_HALF + RESERVE
    if not trains and half <= free:
        return "bfloat16"
    needed = exact if trains else half
    raise MemoryError(
        "The checkpoint has %.3g billion weights and needs %.1f GiB of memory, but only %.1f GiB are free on %s."
        % (count / 1e9, needed / 2**30, free / 2**30, runtime.device)
    )


def _free_bytes(runtime: Runtime) -> Optional[int]:
    if runtime.device.type == "cuda":
        # The model is loaded into the memory of the machine first.
        return min(int(runtime.torch.cuda.mem_get_info(runtime.device)[0]), _free_machine_bytes() or 1 << 62)
    return _free_machine_bytes()


def _free_machine_bytes() -> Optional[int]:
    """Return the bytes that this process can still allocate, by the kernel and by its control group (version 2)."""
    limits = []
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            limits += [int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:")]
    except OSError:
        return None
    try:
        limit, used = (_read_number("/sys/fs/cgroup/" + name) for name in ("memory.max", "memory.current"))
        limits.append(limit - used)
    except (OSError, ValueError):
        # There is no such control group, or its limit is the word "max".
        pass
    return min(limits) if limits else None


def _read_number(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())
