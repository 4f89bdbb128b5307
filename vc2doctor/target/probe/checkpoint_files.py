"""Chooses and checks the files of a checkpoint that may be read, and links them into a folder of their own.

A loader follows the file names in an index, a configuration or an adapter. Such a name can lead out of the folder, or
to a pickle, which runs code when it is loaded. So the loader never gets the user's folder. It gets a folder with a link
to each checked weight file, an index that is written here, and the configuration and tokenizer files.
"""

import contextlib
import json
import math
import os
import stat
import struct
import tempfile
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

MAX_HEADER = 100_000_000
"""Bytes of a safetensors header: the format's own limit, https://github.com/huggingface/safetensors#format."""
MAX_JSON = 100_000_000
"""Bytes of an index or a configuration."""
SINGLE_FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
GGUF_LINK = "model.gguf"
_SIZE_OF_LENGTH = 8
"""Bytes at the start of a safetensors file that hold the length of its header."""
_COMPANION_ENDINGS = (".json", ".model", ".txt", ".jinja", ".tiktoken")
"""Configuration and tokenizer files: text, and SentencePiece's protocol buffers. A pickle has none of these endings."""
_EXCLUDED_ENDINGS = ("adapter_config.json", ".index.json")
"""An adapter's configuration names a base model, which transformers would load instead. An index names weight files."""
_PICKLED = "The checkpoint leads to pickled weights, which vc2doctor does not load."
_STEERING_KEYS = ("transformers_weights", "auto_map")
"""Keys of config.json that name other files: weights, and code. https://github.com/huggingface/transformers"""


_TOKENIZER_NAMES = ("token", "vocab", "merges", "spiece", "sentencepiece", "tekken", "spm")
"""Parts of the names of files that a tokenizer is saved in, whatever its kind."""


class CheckpointError(Exception):
    """The path is not a checkpoint that this worker can load safely."""


class TokenizerMissingError(CheckpointError):
    """The folder of a checkpoint holds no tokenizer. The doctor knows this class by its name."""


class Files(NamedTuple):
    """The checked files of one checkpoint."""

    folder: str
    """The user's folder."""
    weights: Dict[str, str]
    """Name, as in the folder or its index → path of a regular file with safetensors or GGUF."""
    tensors: Dict[str, str]
    """Tensor → name of its file; empty without an index."""
    gguf: str
    """The name of the GGUF file, or empty."""
    values: int
    """How many numbers all tensors hold."""
    config: Dict[str, Any]

    @property
    def architectures(self) -> Tuple[str, ...]:
        """The model classes that the configuration names."""
        names = self.config.get("architectures")
        return tuple(str(name) for name in names) if isinstance(names, list) else ()


def resolve(path: str) -> Files:
    """Return the files of the checkpoint at ``path``: a folder with safetensors, or a .gguf file.

    Raises:
        CheckpointError: there is no checkpoint, a file of it is damaged, or the checkpoint needs code of its own.
    """
    if os.path.isdir(path):
        return _resolve_folder(path)
    if path.endswith(".gguf"):
        target = _regular_file(path, path)
        return Files(os.path.dirname(path), {GGUF_LINK: target}, {}, GGUF_LINK, _count_gguf(path, target), {})
    raise CheckpointError("%s is neither a folder with .safetensors files nor a .gguf file." % path)


def stage(files: Files) -> str:
    """Return a new temporary folder with links to ``files`` and nothing else."""
    folder = tempfile.mkdtemp(prefix="checkpoint-")
    if files.gguf:
        os.symlink(files.weights[files.gguf], os.path.join(folder, files.gguf))
        return folder
    links = {name: "model-%05d.safetensors" % number for number, name in enumerate(files.weights)}
    if not files.tensors:
        links = dict.fromkeys(files.weights, SINGLE_FILE)
    for name, link in links.items():
        os.symlink(files.weights[name], os.path.join(folder, link))
    if files.tensors:
        index = {"metadata": {}, "weight_map": {tensor: links[name] for tensor, name in files.tensors.items()}}
        _write_json(os.path.join(folder, INDEX), index)
    for name, target in _companions(files.folder):
        os.symlink(target, os.path.join(folder, name))
    config = {key: value for key, value in files.config.items() if key not in _STEERING_KEYS}
    _write_json(os.path.join(folder, "config.json"), config)
    return folder


@contextlib.contextmanager
def without_pickles(torch: Any) -> Iterator[None]:
    """Let ``torch.load`` raise, so that no file is unpickled even if a loader reaches one.

    Raises:
        CheckpointError: a loader calls ``torch.load``.
    """

    def refuse(*_arguments: Any, **_options: Any) -> Any:
        raise CheckpointError(_PICKLED)

    original = torch.load
    torch.load = refuse
    try:
        yield
    finally:
        torch.load = original


def has_tokenizer(files: Files) -> bool:
    """Return whether some file of the checkpoint can hold a tokenizer; a GGUF file has its own."""
    names = [name.lower() for name, _ in _companions(files.folder)] if not files.gguf else ["token"]
    return any(part in name for name in names for part in _TOKENIZER_NAMES)


def _resolve_folder(folder: str) -> Files:
    config = _read_json(os.path.join(folder, "config.json"))
    if "auto_map" in config and not config.get("model_type"):
        raise CheckpointError(
            "%s needs Python code of its own (auto_map in config.json). vc2doctor never runs code from a checkpoint."
            % folder
        )
    # transformers looks for the files in this order.
    if os.path.lexists(os.path.join(folder, SINGLE_FILE)):
        names, tensors = [SINGLE_FILE], {}
    elif os.path.lexists(os.path.join(folder, INDEX)):
        tensors = _weight_map(os.path.join(folder, INDEX))
        names = sorted(set(tensors.values()))
    else:
        raise CheckpointError(
            "%s has neither %s nor %s. vc2doctor does not load pickled weights; save the model as safetensors."
            % (folder, SINGLE_FILE, INDEX)
        )
    weights = {name: _regular_file(os.path.join(folder, name), name) for name in names}
    values = sum(_count_safetensors(name, path) for name, path in weights.items())
    return Files(folder, weights, tensors, "", values, config)


def _weight_map(path: str) -> Dict[str, str]:
    weight_map = _read_json(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError("%s has no weight_map." % path)
    for name in weight_map.values():
        if not isinstance(name, str) or not _is_inside(name):
            raise CheckpointError("%s: weight_map names %r, which is not a file below the folder." % (path, name))
    return {str(tensor): name for tensor, name in weight_map.items()}


def _is_inside(name: str) -> bool:
    """Return whether the relative path ``name`` stays below the folder that it starts from."""
    parts = name.replace("\\", "/").split("/")
    return bool(name) and "\0" not in name and not os.path.isabs(name) and ".." not in parts and parts[0] != ""


def _regular_file(path: str, name: str) -> str:
    """Return the regular file at ``path``; links are followed, because the cache of huggingface_hub consists of them.

    Raises:
        CheckpointError: there is no file, or it is something else, such as a pipe.
    """
    target = os.path.realpath(path)
    try:
        mode = os.stat(target).st_mode
    except (OSError, ValueError) as error:
        raise CheckpointError("%s cannot be read: %s" % (name, getattr(error, "strerror", None) or error)) from None
    if not stat.S_ISREG(mode):
        raise CheckpointError("%s is not a regular file." % name)
    return target


def _companions(folder: str) -> Iterator[Tuple[str, str]]:
    """Yield name and path of the configuration and tokenizer files in ``folder``, without config.json."""
    for name in sorted(os.listdir(folder)):
        if name.endswith(_COMPANION_ENDINGS) and name != "config.json" and not name.endswith(_EXCLUDED_ENDINGS):
            target = os.path.realpath(os.path.join(folder, name))
            if os.path.isfile(target):
                yield name, target


def _read_json(path: str) -> Dict[str, Any]:
    target = _regular_file(path, path)
    try:
        if os.stat(target).st_size > MAX_JSON:
            raise CheckpointError("%s is larger than %d bytes." % (path, MAX_JSON))
        with open(target, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError("%s cannot be read: %s" % (path, error)) from None
    if not isinstance(value, dict):
        raise CheckpointError("%s is not a JSON object." % path)
    return value


def _write_json(path: str, value: Any) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)


def _count_gguf(path: str, target: str) -> int:
    """Return how many numbers a GGUF file holds; ``path`` is its name in messages."""
    with open(target, "rb") as file:
        if file.read(4) != b"GGUF":
            raise CheckpointError("%s is not a GGUF file." % path)
    try:
        import gguf  # noqa: PLC0415 - only GGUF needs it; transformers needs it for GGUF as well
    except ImportError:
        raise CheckpointError("%s needs the package gguf. Install it in the target environment." % path) from None
    try:
        return sum(int(tensor.n_elements) for tensor in gguf.GGUFReader(target).tensors)
    except (OSError, ValueError, KeyError, IndexError, OverflowError) as error:
        raise CheckpointError("%s is not a GGUF file: %s" % (path, error)) from None


def _count_safetensors(name: str, path: str) -> int:
    """Return how many numbers a file holds, from its header, which is checked against the size of the file."""
    try:
        header, data_size = _read_header(path)
        return sum(_checked_count(tensor, data_size) for key, tensor in header.items() if key != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError("%s is not a safetensors file: %s" % (name, error)) from None


def _read_header(path: str) -> Tuple[Dict[str, Any], int]:
    """Return the header of a safetensors file, and how many bytes follow it."""
    with open(path, "rb") as file:
        start = file.read(_SIZE_OF_LENGTH)
        if len(start) < _SIZE_OF_LENGTH:
            raise ValueError("it is only %d bytes long" % len(start))
        length = struct.unpack("<Q", start)[0]
        data_size = os.fstat(file.fileno()).st_size - _SIZE_OF_LENGTH - length
        if length > MAX_HEADER or data_size < 0:
            raise ValueError("its header would be %d bytes long" % length)
        return json.loads(file.read(length)), data_size


def _checked_count(tensor: Dict[str, Any], data_size: int) -> int:
    """Return how many numbers a tensor of the header holds, after a check that its data lies inside the file."""
    start, end = tensor["data_offsets"]
    shape: List[int] = tensor["shape"]
    if not 0 <= start <= end <= data_size or any(not isinstance(length, int) or length < 0 for length in shape):
        raise ValueError("a tensor lies at %r of %d bytes" % ((start, end), data_size))
    return math.prod(shape)
