"""mmengine's ``AmpOptimWrapper`` that scales the loss of a model in bfloat16.

The wrapper makes a scaler for every dtype, and ``loss_scale="dynamic"`` is its default:
https://github.com/open-mmlab/mmengine/blob/main/mmengine/optim/optimizer/amp_optimizer_wrapper.py
"""

import ast
from collections.abc import Iterator, Mapping
from posixpath import dirname, join, normpath

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import Config, ConfigEntry
from vc2doctor.linter.read.module import root_name
from vc2doctor.linter.read.python_config import literal

_BFLOAT16 = ("bfloat16", "torch.bfloat16", "bf16")
_URL = "https://mmengine.readthedocs.io/en/latest/api/generated/mmengine.optim.AmpOptimWrapper.html"
_TRAINS_LOADED = ("SupervisedFinetune", "LLaVAModel", "DPO", "ORPO", "RewardModel")
"""Classes of xtuner that train the language model that they load, unless ``freeze_llm`` or an adapter is given.

https://github.com/InternLM/xtuner/tree/v0.1.23/xtuner/model
"""
MAX_BASES = 16
"""Files that one configuration is based on. The limit ends files that name each other."""

Keys = Mapping[str, tuple[ConfigEntry, str]]
"""Key → its entry, and the file that the entry is in."""


def wrapped_scaler(facts: Facts, config: Config) -> Iterator[CodeFinding]:
    """Yield the ``loss_scale`` of an ``AmpOptimWrapper`` whose dtype is bfloat16 (VC104).

    It is a warning where the configuration trains weights that it loads in bfloat16. Over float32 weights the scaler
    is of no use, and a note where the configuration asks for it.
    """
    wrapper, dtype = config.find("optim_wrapper.type"), config.find("optim_wrapper.dtype")
    is_amp = wrapper is not None and str(wrapper.value).rpartition(".")[2] == "AmpOptimWrapper"
    if not is_amp or dtype is None or dtype.value not in _BFLOAT16 or is_inference_path(config.name):
        return
    scale = config.find("optim_wrapper.loss_scale")
    is_given = scale is not None and (scale.value == "dynamic" or isinstance(scale.value, float))
    if (scale is None and not _scales_by_default(config)) or (scale is not None and not is_given):
        return
    weights = _trained_in_bfloat16(_keys_with_bases(facts, config))
    if weights is not None:
        yield _raises(config, scale or dtype, *weights)
    elif scale is not None:
        yield _useless(config, scale, dtype)


def float16_wrapper(config: Config) -> Iterator[CodeFinding]:
    """Yield an ``AmpOptimWrapper`` of mmengine around bfloat16 weights. Without a dtype it is float16 and scales."""
    weights = [
        entry for entry in config.entries if entry.key.endswith("torch_dtype") and entry.value == "torch.bfloat16"
    ]
    scale = config.find("optim_wrapper.loss_scale")
    if is_inference_path(config.name) or not weights or scale is None or scale.value != "dynamic":
        return
    if config.find("optim_wrapper.dtype") is None:
        yield build.at_entry(
            config,
            scale,
            "VC104",
            Severity.WARNING,
            "the optimizer wrapper has no dtype, so it computes in float16 and scales the loss, and the weights are "
            "bfloat16",
            evidence=(f"torch_dtype=torch.bfloat16 at {config.name}:{weights[0].line}",),
            remedy='Give the wrapper dtype="bfloat16".',
            url="https://github.com/InternLM/xtuner/issues/960",
            role="scaler",
        )


def _scales_by_default(config: Config) -> bool:
    """Return whether a configuration sets nothing of the scaler: no key below ``loss_scale``, such as ``enabled``."""
    return not any(entry.key.startswith("optim_wrapper.loss_scale.") for entry in config.entries)


def _keys_with_bases(facts: Facts, config: Config) -> Keys:
    """Return the keys of a configuration and of those that it is based on; its own replace theirs."""
    keys: dict[str, tuple[ConfigEntry, str]] = {}
    for each in _with_bases(facts, config):
        for entry in (*_assigned_later(facts, each), *each.entries):
            keys.setdefault(entry.key, (entry, each.name))
    return keys


def _with_bases(facts: Facts, config: Config) -> list[Config]:
    """Return a configuration and those that it imports with ``read_base`` or names in ``_base_``, the nearest first."""
    by_name = {each.name: each for each in facts.code.files.configs}
    found = [config]
    for current in found:
        module = facts.code.files.modules.get(current.name)
        imported = facts.code.import_closure(module) if module is not None else frozenset()
        named = current.get("_base_")
        paths = named if isinstance(named, list) else [named]
        names = [normpath(join(dirname(current.name), path)) for path in paths if isinstance(path, str)]
        for name in (*names, *sorted(each.name for each in imported)):
            base = by_name.get(name)
            if base is not None and base not in found and len(found) < MAX_BASES:
                found.append(base)
    return found


def _assigned_later(facts: Facts, config: Config) -> Iterator[ConfigEntry]:
    """Yield the keys that statements set in a tree of settings: ``model.freeze_encoder = False``."""
    module = facts.code.files.modules.get(config.name)
    for place in module.statements if module is not None else ():
        statement = place.statement
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute):
            target = statement.targets[0]
            if root_name(target) != "self":
                yield ConfigEntry(ast.unparse(target), literal(statement.value), statement.lineno)


def _trained_in_bfloat16(keys: Keys) -> tuple[ConfigEntry, str] | None:
    """Return the dtype of the weights that a configuration loads in bfloat16 and trains, and the file that says it."""
    for key, (entry, path) in keys.items():
        owner, _, name = key.rpartition(".")
        is_bfloat16 = name in ("torch_dtype", "dtype") and entry.value in _BFLOAT16
        if is_bfloat16 and owner.startswith("model.") and _is_trained(keys, owner):
            return entry, path
    return None


def _is_trained(keys: Keys, part: str) -> bool:
    """Return whether the part of a model below a key is trained as a whole: ``freeze_<part>`` is off."""
    if any(key.startswith(f"{part}.quantization_config") for key in keys):
        return False
    holder, _, name = part.rpartition(".")
    switch = keys.get(f"{holder}.freeze_{name}")
    if switch is not None:
        return switch[0].value is False
    holder_type = keys.get(f"{holder}.type")
    is_known = holder_type is not None and str(holder_type[0].value).rpartition(".")[2] in _TRAINS_LOADED
    has_adapter = any(key.startswith((f"{holder}.lora", f"{holder}.{name}_lora")) for key in keys)
    return is_known and name == "llm" and not has_adapter


def _raises(config: Config, scale: ConfigEntry, weights: ConfigEntry, path: str) -> CodeFinding:
    return build.at_entry(
        config,
        scale,
        "VC104",
        Severity.WARNING,
        "the optimizer wrapper scales the loss, and the weights that it trains are bfloat16: on CUDA unscaling raises "
        "NotImplementedError",
        evidence=(
            f"loaded in bfloat16 and trained: {path}:{weights.line}",
            "AmpOptimWrapper makes a GradScaler for every dtype; xtuner's --deepspeed replaces the wrapper",
        ),
        remedy="Write loss_scale=dict(enabled=False): bfloat16 needs no loss scaling. Load the weights in float32, "
        "so that small updates are kept.",
        url=_URL,
        role="scaler",
    )


def _useless(config: Config, scale: ConfigEntry, dtype: ConfigEntry) -> CodeFinding:
    return build.at_entry(
        config,
        scale,
        "VC104",
        Severity.NOTE,
        "the loss is scaled, and the model computes in bfloat16, which needs no scaling",
        evidence=(
            f"dtype is bfloat16 at {config.name}:{dtype.line}",
            "over float32 weights it is of no use; over trained weights in bfloat16 it raises on CUDA",
        ),
        remedy="Write loss_scale=dict(enabled=False).",
        url=_URL,
        role="scaler",
    )
