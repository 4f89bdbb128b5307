"""What the doctor tells the worker to build, from the profile; every key has a default."""

import json
from typing import Any, Dict, NamedTuple, Tuple

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head")
"""LoRA targets of VideoChat2-Mistral, stage 3 (``models/videochat_mistra/videochat2_it_mistral.py``)."""


class Shape(NamedTuple):
    """The widths of the miniature: upstream's structure, scaled down so far that a step takes milliseconds."""

    hidden: int = 64
    intermediate: int = 128
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    vocabulary: int = 96
    vision_width: int = 32
    vision_blocks: int = 2
    frames: int = 2
    image: int = 16
    patch: int = 8
    queries: int = 4
    extra_queries: int = 4
    qformer_blocks: int = 2


class Spec(NamedTuple):
    """The subject of the probe and how it is trained.

    ``learning_rate`` is the project's own, used to say how much a step would move at the real ``fan_in``; the probe
    itself trains at ``probe_rate``, at which a few steps change the loss by more than bfloat16 rounds.
    """

    model: str = "videochat2"
    shape: Shape = Shape()
    r: int = 16
    alpha: int = 32
    dropout: float = 0.1
    targets: Tuple[str, ...] = TARGETS
    checkpointing: bool = True
    learning_rate: float = 2e-5
    probe_rate: float = 1e-3
    betas: Tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.02
    fan_in: Tuple[int, ...] = (4096, 14336)
    attention: str = "default"
    seed: int = 0
    plant: str = "none"
    stress: Tuple[str, ...] = ()
    entry: str = ""
    checkpoint: str = ""
    texts: Tuple[str, ...] = ()
    longest: int = 512


def parse(text: str) -> Spec:
    """Return the spec that the JSON object ``text`` gives, all defaults where it is empty; unknown keys are refused.

    Raises:
        TypeError: a key is unknown.
        ValueError: it is not JSON.
    """
    told: Dict[str, Any] = json.loads(text or "{}")
    given: Dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    if "shape" in given:
        given["shape"] = Shape(**given["shape"])
    return Spec(**given)
