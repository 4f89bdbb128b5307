"""Compares the emulated formats with the casts of torch, and of torchao where it is installed.

``PYTHON -B scaled_in_target.py TARGET_FOLDER`` prints the results as one JSON object; ``test_scaled_formats.py``
asserts what they must be.
"""

import importlib
import importlib.util
import json
import sys
from typing import Any, Dict
from unittest import mock

import torch
from worker_package import EventList, load_package

load_package(sys.argv[1])
scaled = importlib.import_module("worker.probe.scaled_formats")


def casts() -> bool:
    """Return whether rounding to E4M3 gives what torch's own cast gives, up to its largest number."""
    torch.manual_seed(0)
    values = torch.cat([torch.randn(50000) * 4.0**exponent for exponent in range(-6, 5)])
    values = torch.cat([values, torch.linspace(-448, 448, 100001)])
    values = values[values.abs() <= scaled.E4M3.largest]
    return bool((values.to(torch.float8_e4m3fn).float() == scaled.rounded_to(torch, values, scaled.E4M3)).all())


def matrix() -> Any:
    """Return weights with one outlier, a row of zeros, and a width that is no multiple of a block."""
    torch.manual_seed(1)
    weights = torch.randn(64, 200) * 0.02
    weights[3, 5] = 3.0
    weights[7] = 0.0
    return weights


def blocks() -> Dict[str, float]:
    """Return the largest difference to torchao's own MXFP8 and NVFP4 tensors."""
    mx = importlib.import_module("torchao.prototype.mx_formats.mx_tensor").MXTensor
    nvfp4 = importlib.import_module("torchao.prototype.mx_formats.nvfp4_tensor")
    weights = matrix()[:, :192].contiguous()
    largest = float(weights.abs().max())
    theirs = {
        "mxfp8": mx.to_mx(weights.clone(), torch.float8_e4m3fn, 32).dequantize(torch.float32),
        "nvfp4": nvfp4.NVFP4Tensor.to_nvfp4(
            weights.clone(), 16, per_tensor_scale=nvfp4.per_tensor_amax_to_scale(weights.abs().max())
        ).dequantize(torch.float32),
    }
    return {
        name: float((form - scaled.FORMATS[name](torch, weights, largest)).abs().max()) for name, form in theirs.items()
    }


def event() -> Dict[str, Any]:
    """Return the event about a model of one matrix and one vector."""
    model = torch.nn.Linear(200, 64)
    model.weight.data = matrix()
    events = EventList()
    scaled.run(events, mock.Mock(torch=torch, checkpoint=mock.Mock(model=model)))
    (found,) = events.events
    return dict(found)


results: Dict[str, Any] = {"event": event()}
if hasattr(torch, "float8_e4m3fn"):
    results["casts"] = casts()
if importlib.util.find_spec("torchao") is not None:
    results["blocks"] = blocks()
sys.stdout.write(json.dumps(results) + "\n")
