"""Reads the configurations of mmengine and xtuner: ``optim_wrapper``, ``model`` and its quantization.

``AmpOptimWrapper`` without a dtype computes in float16 on CUDA, and scales the loss unless ``loss_scale`` is none:
https://mmengine.readthedocs.io/en/latest/api/generated/mmengine.optim.AmpOptimWrapper.html
"""

from vc2doctor.linter.read.config import Config
from vc2doctor.linter.read.launchers import Launcher
from vc2doctor.linter.read.launchers.transformers_arguments import models, quantization
from vc2doctor.linter.read.run_settings import DtypeName, Keys, Precision, RunSettings, Setting, keys_of_config, only

_LOADERS = ("model", "model.llm", "model.language_model", "llm")
"""Where xtuner's configurations load the language model."""


def _of_config(config: Config) -> RunSettings | None:
    keys = keys_of_config(config, "optim_wrapper")
    wrapper = keys.text("type")
    if config.kind != "python" or wrapper is None:
        return None
    return RunSettings(
        "mmengine",
        config.name,
        precisions=only(_precision(keys, wrapper)),
        weights=next(iter(_weights(config)), None),
        quantization=next(iter(only(*(quantization(part) for part in _parts(config, ".quantization_config")))), None),
        quantized_compute=next(
            iter(only(*(part.dtype("bnb_4bit_compute_dtype") for part in _parts(config, ".quantization_config")))), None
        ),
        clipping=keys.number("clip_grad.max_norm"),
        models=models(keys_of_config(config)) + tuple(name for part in _parts(config) for name in models(part)),
        unknown=keys.unknown("dtype", "clip_grad.max_norm"),
    )


def _precision(keys: Keys, wrapper: Setting[str]) -> Setting[Precision] | None:
    if wrapper.value.rpartition(".")[2] != "AmpOptimWrapper":
        return None
    if "dtype" in keys:
        return keys.precision("dtype")
    return Setting("fp16", wrapper.path, wrapper.line, "AmpOptimWrapper without a dtype")


def _parts(config: Config, ending: str = "") -> list[Keys]:
    return [keys_of_config(config, f"{part}{ending}") for part in _LOADERS]


def _weights(config: Config) -> tuple[Setting[DtypeName], ...]:
    return only(*(part.dtype("torch_dtype", "dtype") for part in _parts(config)))


LAUNCHER = Launcher("mmengine", of_config=_of_config)
