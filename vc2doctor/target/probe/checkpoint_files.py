"""Which files of a checkpoint are read: only those that are checked here, through a folder of links to them.

A loader follows names: of an index, of a configuration, of an adapter. Any of them may lead out of the folder, or to a
pickle. So the loader is never given the user's folder. It is given one that holds a link to each checked weight file,
an index that is written here, and the configuration and tokenizer files.
"""

import contextlib
import json
import math
import os
import stat
import struct
import tempfile
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

_MAX_HEADER = 100_000_000
"""Bytes of a safetensors header: its own limit, https://github.com/huggingface/safetensors#format."""
_MAX_JSON = 100_000_000
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_COMPANIONS = (".json", ".model", ".txt", ".jinja", ".tiktoken")
"""Endings of configuration and tokenizer files: text, and SentencePiece's protocol buffers. No pickle has them."""
_LEADING_ELSEWHERE = ("adapter_config.json", ".index.json")
"""The first names a base model, which transformers would load instead; the others name files of weights."""
_PICKLED = "the checkpoint leads to pickled weights, which are not loaded"
_STEERING_KEYS = ("transformers_weights", "auto_map")
"""Keys of config.json that name other files: weights, and code. https://github.com/huggingface/transformers"""


class CheckpointError(Exception):
    """What the path names is no checkpoint that can be loaded here."""


class Files(NamedTuple):
    """The checked files of one checkpoint."""

    folder: str
    """The user's folder."""
    weights: Dict[str, str]
    """Name, as the folder or its index says → path of a regular file with safetensors or GGUF."""
    tensors: Dict[str, str]
    """Tensor → name of its file; empty without an index."""
    gguf: str
    """The name of the GGUF file, or empty."""
    values: int
    """How many numbers the tensors hold."""
    config: Dict[str, Any]

    @property
    def architectures(self) -> Tuple[str, ...]:
        """The classes that the configuration names."""
        named = self.config.get("architectures")
        return tuple(str(name) for name in named) if isinstance(named, list) else ()


def resolve(path: str) -> Files:
    """Return the files of the checkpoint at ``path``: a folder with safetensors, or a .gguf file.

    Raises:
        CheckpointError: there is none, one is not what its name says, or the checkpoint needs code of its own.
    """
    if os.path.isdir(path):
        return _resolve_folder(path)
    if path.endswith(".gguf"):
        real = _regular(path, path)
        return Files(os.path.dirname(path), {"model.gguf": real}, {}, "model.gguf", _count_gguf(path, real), {})
    raise CheckpointError("%s is neither a folder with .safetensors files nor a .gguf file" % path)


def stage(files: Files) -> str:
    """Return a new folder, in the temporary folder of this process, that holds links to ``files`` and nothing else."""
    folder = tempfile.mkdtemp(prefix="checkpoint-")
    if files.gguf:
        os.symlink(files.weights[files.gguf], os.path.join(folder, files.gguf))
        return folder
    staged = {name: "model-%05d.safetensors" % number for number, name in enumerate(files.weights)}
    if not files.tensors:
        staged = dict.fromkeys(files.weights, _SINGLE)
    for name, link in staged.items():
        os.symlink(files.weights[name], os.path.join(folder, link))
    if files.tensors:
        index = {"metadata": {}, "weight_map": {tensor: staged[name] for tensor, name in files.tensors.items()}}
        _write_json(os.path.join(folder, _INDEX), index)
    for name, real in _companions(files.folder):
        os.symlink(real, os.path.join(folder, name))
    config = {key: value for key, value in files.config.items() if key not in _STEERING_KEYS}
    _write_json(os.path.join(folder, "config.json"), config)
    return folder


@contextlib.contextmanager
def without_pickles(torch: Any) -> Iterator[None]:
    """Make ``torch.load`` refuse: whatever a loader is led to, it is not unpickled."""

    def refuse(*_arguments: Any, **_options: Any) -> Any:
        raise CheckpointError(_PICKLED)

    original = torch.load
    torch.load = refuse
    try:
        yield
    finally:
        torch.load = original


def _resolve_folder(folder: str) -> Files:
    config = _read_json(os.path.join(folder, "config.json"))
    if "auto_map" in config and not config.get("model_type"):
        raise CheckpointError("%s needs code that came with it, which is never run" % folder)
    # The order in which transformers looks for them.
    if os.path.lexists(os.path.join(folder, _SINGLE)):
        names, tensors = [_SINGLE], {}
    elif os.path.lexists(os.path.join(folder, _INDEX)):
        tensors = _weight_map(os.path.join(folder, _INDEX))
        names = sorted(set(tensors.values()))
    else:
        raise CheckpointError("%s has no %s and no %s; pickled weights are not loaded" % (folder, _SINGLE, _INDEX))
    weights = {name: _regular(os.path.join(folder, name), name) for name in names}
    values = sum(_count_safetensors(name, real) for name, real in weights.items())
    return Files(folder, weights, tensors, "", values, config)


def _weight_map(path: str) -> Dict[str, str]:
    found = _read_json(path).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise CheckpointError("%s has no weight_map" % path)
    for name in found.values():
        if not isinstance(name, str) or not _is_inside(name):
            raise CheckpointError("%s: weight_map names %r, which is not a file below the folder" % (path, name))
    return {str(tensor): name for tensor, name in found.items()}


def _is_inside(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return bool(name) and "\0" not in name and not os.path.isabs(name) and ".." not in parts and parts[0] != ""


def _regular(path: str, name: str) -> str:
    """Return where ``path`` leads; links are followed, as in the cache of huggingface_hub, but only to a file.

    Raises:
        CheckpointError: it leads to nothing, or to something else.
    """
    real = os.path.realpath(path)
    try:
        mode = os.stat(real).st_mode
    except (OSError, ValueError) as error:
        raise CheckpointError("%s cannot be read: %s" % (name, getattr(error, "strerror", None) or error)) from None
    if not stat.S_ISREG(mode):
        raise CheckpointError("%s is not a regular file" % name)
    return real


def _companions(folder: str) -> Iterator[Tuple[str, str]]:
    for name in sorted(os.listdir(folder)):
        if name.endswith(_COMPANIONS) and name != "config.json" and not name.endswith(_LEADING_ELSEWHERE):
            real = os.path.realpath(os.path.join(folder, name))
            if os.path.isfile(real):
                yield name, real


def _read_json(path: str) -> Dict[str, Any]:
    real = _regular(path, path)
    try:
        if os.stat(real).st_size > _MAX_JSON:
            raise CheckpointError("%s is larger than %d bytes" % (path, _MAX_JSON))
        with open(real, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError("%s cannot be read: %s" % (path, error)) from None
    if not isinstance(found, dict):
        raise CheckpointError("%s is not a JSON object" % path)
    return found


def _write_json(path: str, value: Any) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)


def _count_gguf(path: str, real: str) -> int:
    with open(real, "rb") as file:
        if file.read(4) != b"GGUF":
            raise CheckpointError("%s is not a GGUF file" % path)
    try:
        import gguf  # noqa: PLC0415 - transformers needs it for this as well
    except ImportError:
        raise CheckpointError("%s needs the package gguf in the target environment" % path) from None
    try:
        return sum(int(tensor.n_elements) for tensor in gguf.GGUFReader(real).tensors)
    except (OSError, ValueError, KeyError, IndexError, OverflowError) as error:
        raise CheckpointError("%s is not a GGUF file: %s" % (path, error)) from None


def _count_safetensors(name: str, real: str) -> int:
    """Return how many numbers a file holds, from its header; the header is checked against the file's size."""
    try:
        header, size = _header(real)
        return sum(_checked(tensor, size) for key, tensor in header.items() if key != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise CheckpointError("%s is not a safetensors file: %s" % (name, error)) from None


def _header(path: str) -> Tuple[Dict[str, Any], int]:
    """Return the header of a safetensors file, and how many bytes follow it."""
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        left = os.fstat(file.fileno()).st_size - 8 - length
        if length > _MAX_HEADER or left < 0:
            raise ValueError("its header is %d bytes long" % length)
        return json.loads(file.read(length)), left


def _checked(tensor: Dict[str, Any], size: int) -> int:
    start, end = tensor["data_offsets"]
    shape: List[int] = tensor["shape"]
    if not 0 <= start <= end <= size or any(not isinstance(length, int) or length < 0 for length in shape):
        raise ValueError("tensor at %r of %d bytes" % ((start, end), size))
    return math.prod(shape)
