"""Loads the local files that the user's programs load, one by one: can the installed packages read them?

Configurations, tokenizers and descriptions of data only, offline and without code that came with them. No weights.
"""

import importlib
import json
import os
import time
from typing import Any, Callable, Dict, List

from ..runtime import EventSink
from ..shared.spec import Spec
from .exceptions import describe

MAX_SECONDS = 60.0
"""After this time no further file is tried. A large tokenizer takes two seconds."""
MAX_IGNORED = 12
MAX_JSON_BYTES = 16 * 1024 * 1024


def run(events: EventSink, spec: Spec) -> None:
    """Emit ``files``: which were tried, and those that cannot be loaded or lose a part."""
    if not spec.files:
        return
    events.emit("measuring", name="the local files that your code loads")
    started = time.perf_counter()
    tried: List[List[str]] = []
    failed: List[Dict[str, Any]] = []
    for kind, loader, path in spec.files:
        if time.perf_counter() - started > MAX_SECONDS:
            break
        try:
            ignored = _LOADERS[kind](loader, path)
        except _NotTriedError:
            continue
        except BaseException as error:  # the tokenizers package raises a panic that is no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            failed.append({"kind": kind, "path": path, "error": describe(error), "ignored": []})
        else:
            if ignored:
                failed.append({"kind": kind, "path": path, "error": None, "ignored": ignored[:MAX_IGNORED]})
        tried.append([kind, path])
    events.emit("files", tried=tried, left_out=len(spec.files) - len(tried), failed=failed)


class _NotTriedError(Exception):
    """The package is not installed, or the class is the user's own."""


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if getattr(error, "name", None) == name.partition(".")[0]:
            raise _NotTriedError from error
        raise


def _content(path: str) -> Dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        content: Dict[str, Any] = json.loads(file.read(MAX_JSON_BYTES))
    return content


def _adapter(_: str, path: str) -> List[str]:
    """Load the configuration as ``PeftModel.from_pretrained`` does: the class follows from the type in the file."""
    peft = _module("peft")
    kind = peft.PeftConfig.from_pretrained(path).peft_type
    loaded = _module("peft.mapping").PEFT_TYPE_TO_CONFIG_MAPPING[kind].from_pretrained(path)
    content = _content(os.path.join(path, "adapter_config.json"))
    return sorted(key for key, value in content.items() if not hasattr(loaded, key) and _changes_something(value))


def _changes_something(value: Any) -> bool:
    """Return whether a key that is left out would have changed the adapter: numbers and texts can be defaults."""
    return value is True or (isinstance(value, (dict, list)) and bool(value))


def _own_code(path: str) -> bool:
    """Return whether a folder names code of its own, which must not run."""
    for name in ("config.json", "tokenizer_config.json"):
        file = os.path.join(path, name)
        if os.path.isfile(file) and "auto_map" in _content(file):
            return True
    return False


def _config(loader: str, path: str) -> List[str]:
    transformers = _module("transformers")
    cls = transformers.AutoConfig
    if loader and not loader.startswith("Auto"):
        named = getattr(transformers, loader, None)
        cls = named if loader.endswith("Config") else getattr(named, "config_class", None)
    if cls is None or _own_code(path):
        raise _NotTriedError
    loaded = cls.from_pretrained(path, local_files_only=True)
    rope = _content(os.path.join(path, "config.json")).get("rope_parameters")
    written = rope.get("rope_theta") if isinstance(rope, dict) else None
    # transformers 5 has no such attribute: it reads rope_parameters.
    used = getattr(loaded, "rope_theta", None)
    if written is None or used is None or used == written:
        return []
    return ["rope_parameters: rope_theta is {}, and {} is loaded".format(written, used)]  # noqa: UP032


def _tokenizer(loader: str, path: str) -> List[str]:
    transformers = _module("transformers")
    cls = getattr(transformers, loader, None) if loader else transformers.AutoTokenizer
    if cls is None or _own_code(path):
        raise _NotTriedError
    cls.from_pretrained(path, local_files_only=True)
    return []


def _trainer_state(_: str, path: str) -> List[str]:
    state = _module("transformers.trainer_callback").TrainerState
    state.load_from_json(os.path.join(path, "trainer_state.json"))
    return []


def _parquet(_: str, path: str) -> List[str]:
    features = _module("datasets").Features
    features.from_arrow_schema(_module("pyarrow.parquet").read_schema(path))
    return []


def _dataset(_: str, path: str) -> List[str]:
    _module("datasets").DatasetInfo.from_directory(path)
    return []


_LOADERS: Dict[str, Callable[[str, str], List[str]]] = {
    "adapter": _adapter,
    "config": _config,
    "dataset": _dataset,
    "parquet": _parquet,
    "tokenizer": _tokenizer,
    "trainer-state": _trainer_state,
}
