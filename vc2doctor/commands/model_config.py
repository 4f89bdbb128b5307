"""Finds and reads the configuration of a model on this machine: data only, nothing is imported or downloaded."""

import os
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from vc2doctor.core import huggingface, parsing, reading
from vc2doctor.core.data import Data

MAX_BYTES = 1 << 20
"""Of a configuration; the largest of published models has 60 kB."""
MAX_GGUF_KEYS = 64
"""The architecture is among the first keys of a GGUF file."""
MAX_GGUF_TEXT = 1 << 16
_PARTS = ("text_config", "language_config", "llm_config", "thinker_config", "vision_config", "audio_config")
_LANGUAGE_MODEL = re.compile(r"(For(CausalLM|ConditionalGeneration|ImageTextToText)|LMHeadModel)$")
_ENCODERS = ("bert", "roberta", "distilbert", "xlm-roberta", "clip", "siglip", "vit", "dinov2", "wav2vec2")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_GGUF_STRING, _GGUF_ARRAY = 8, 9
_GGUF_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by its type: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""
_GGUF_TYPES = {
    "qwen2moe": "qwen2_moe",
    "qwen3moe": "qwen3_moe",
    "gptneox": "gpt_neox",
    "command-r": "cohere",
    "gemma3": "gemma3_text",
    "deepseek2": "deepseek_v3",
    "gpt-oss": "gpt_oss",
}
"""GGUF's names of architectures that differ from transformers'."""


class ModelConfig(Data):
    """The configuration of a model."""

    path: str
    keys: dict[str, Any]

    @property
    def model_types(self) -> tuple[str, ...]:
        """The type of the model, and those of its parts."""
        parts = (self.keys, *(self.keys[name] for name in _PARTS if isinstance(self.keys.get(name), dict)))
        types = (part.get("model_type") for part in parts)
        return tuple(dict.fromkeys(name for name in types if isinstance(name, str) and name))


def read(path: Path, types_of_classes: dict[str, str]) -> ModelConfig | None:
    """Return the configuration at ``path``: a folder with config.json, or such a file; ``None``: it is none.

    A configuration without ``model_type`` gets that of its class in ``architectures``.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        keys = parsing.parse_json(reading.read_bytes(file, MAX_BYTES))
    except (reading.ReadError, parsing.MalformedError):
        return None
    if not isinstance(keys, dict) or not _is_language_model(keys):
        return None
    if not isinstance(keys.get("model_type"), str):
        classes = keys.get("architectures")
        names = classes if isinstance(classes, list) else []
        known = next(
            (types_of_classes[name] for name in names if isinstance(name, str) and name in types_of_classes), None
        )
        if known is None:
            return None
        keys["model_type"] = known
    return ModelConfig(path=str(file), keys=keys)


def _is_language_model(keys: dict[str, Any]) -> bool:
    """Return whether a configuration may be a language model's: a text encoder or an image encoder is not trained."""
    classes = keys.get("architectures")
    if isinstance(classes, list) and classes:
        return any(isinstance(name, str) and _LANGUAGE_MODEL.search(name) for name in classes) or "auto_map" in keys
    return not str(keys.get("model_type")).startswith(_ENCODERS)


def find(name: str, folders: Iterable[Path], types_of_classes: dict[str, str]) -> ModelConfig | None:
    """Return the configuration that code means by ``name``: a path from one of ``folders``, or a name on the Hub.

    A name on the Hub is looked up in the cache of huggingface_hub only.
    """
    try:
        path = Path(name).expanduser()
        candidates = [path] if path.is_absolute() else [folder / path for folder in folders]
        candidates += _cached(name)
        return next(filter(None, (read(candidate, types_of_classes) for candidate in candidates)), None)
    except (OSError, ValueError, RuntimeError):
        # A text that is no path: too long, with a null byte, or of a user that does not exist (``~missing``).
        return None


def _cached(name: str) -> list[Path]:
    """Return the snapshots of ``name`` in the cache of huggingface_hub, the newest first."""
    if not _HUB_NAME.fullmatch(name) and not re.fullmatch(r"[\w.-]+", name):
        return []
    snapshots = huggingface.hub_folder(os.environ) / f"models--{name.replace('/', '--')}" / "snapshots"
    found = list(snapshots.iterdir()) if snapshots.is_dir() else []
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def gguf_type(path: Path) -> str | None:
    """Return the model type of a GGUF file, or ``None`` if the file does not tell it."""
    try:
        with reading.open_regular(path) as file:
            name = _gguf_architecture(file)
    except (OSError, reading.ReadError, struct.error, ValueError):
        return None
    return _GGUF_TYPES.get(name, name) if name else None


def _gguf_architecture(file: BinaryIO) -> str | None:
    if file.read(4) != b"GGUF":
        return None
    _, _, count = struct.unpack("<IQQ", file.read(20))
    for _ in range(min(count, MAX_GGUF_KEYS)):
        key = _gguf_text(file)
        (kind,) = struct.unpack("<I", file.read(4))
        if key == "general.architecture" and kind == _GGUF_STRING:
            return _gguf_text(file)
        _skip_gguf(file, kind)
    return None


def _gguf_text(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > MAX_GGUF_TEXT:
        message = f"a text of {length} bytes"
        raise ValueError(message)
    return file.read(length).decode("utf-8")


def _skip_gguf(file: BinaryIO, kind: int) -> None:
    if kind == _GGUF_STRING:
        _gguf_text(file)
    elif kind == _GGUF_ARRAY:
        # Arrays are vocabularies: the architecture stands before them.
        raise ValueError(kind)
    else:
        file.seek(_GGUF_SIZES.get(kind, 0), os.SEEK_CUR)
