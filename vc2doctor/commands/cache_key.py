"""The key under which an answer is kept: a pure function of everything that can change the answer."""

import hashlib
import json
from collections.abc import Mapping

from vc2doctor.core.data import OwnData
from vc2doctor.environment.fingerprint import Fingerprint

_VARIABLES = ("PATH", "HOME", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "XDG_CACHE_HOME")
"""What the choice of the interpreter and of user-wide settings depends on."""
_PREFIXES = (
    *("PYTHON", "LD_", "DYLD_", "CUDA_", "NVIDIA_", "ROCR_", "HIP_", "HSA_", "XLA_", "TRITON", "NCCL_"),
    *("TORCH", "PYTORCH_", "ATEN_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "ACCELERATE_", "BNB_", "BITSANDBYTES_"),
    *("OMP_", "MKL_", "KMP_", "OPENBLAS_", "ONEDNN_", "DNNL_", "GOMP_"),
)
"""How the names of variables begin that Python, the loader, the driver, the stack and its libraries read."""


class KeyFacts(OwnData):
    """Everything that can change the answer of ``check`` or ``gate``."""

    doctor: Mapping[str, str]
    """The versions of the doctor, of its worker and of the matrix, and what their files look like."""
    environment: Fingerprint
    machine: Mapping[str, str]
    """The system, the processor, the driver and the GPUs, and what the sources of facts see in the working folder."""
    request: str
    """The options, with the profile and the doors, as text."""
    contents: Mapping[str, str]
    """Path → a digest of the code, of the settings, of the checkpoints and configurations that are named."""
    variables: Mapping[str, str]
    """The environment variables that training reads."""
    waivers: tuple[str, ...] = ()
    """The entries of the policy that have expired."""


def key(facts: KeyFacts) -> str:
    """Return the key of an answer. If any of the facts is different, so is the key."""
    # Not mode="json": that writes all bytes of a path that are not UTF-8 alike, so two files would share a key.
    text = json.dumps(facts.model_dump(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def relevant(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that can change how a training runs."""
    return {name: value for name, value in variables.items() if name in _VARIABLES or name.startswith(_PREFIXES)}
