"""What the doctor tells the worker to build, from the profile; every key has a default."""

import json
from typing import Any, Dict, NamedTuple, Tuple

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head")
"""LoRA targets of VideoChat2-Mistral, stage 3 (``models/videochat_mistra/videochat2_it_mistral.py``)."""


class Spec(NamedTuple):
    """The subject of the probe and how it is trained.

    ``learning_rate`` is the project's own, used to say how much a step would move at the real ``fan_in``; the probe
    itself trains at ``probe_rate``, at which a few steps change the loss by more than bfloat16 rounds.
    """

    model: str = "videochat2"
    r: int = 16
    alpha: int = 32
    dropout: float = 0.1
    targets: Tuple[str, ...] = TARGETS
    learning_rate: float = 2e-5
    probe_rate: float = 1e-3
    betas: Tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.02
    fan_in: Tuple[int, ...] = (4096, 14336)
    attention: str = "default"
    seed: int = 0
    plant: str = "none"
    entry: str = ""


def parse(text: str) -> Spec:
    """Return the spec that the JSON object ``text`` gives; unknown keys are refused.

    Raises:
        TypeError: a key is unknown.
        ValueError: it is not JSON.
    """
    told: Dict[str, Any] = json.loads(text)
    given: Dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    return Spec(**given)
