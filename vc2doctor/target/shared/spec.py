"""The spec: what the worker has to build and train. vc2doctor writes it from the profile; every key has a default."""

import json
from typing import Any, Dict, NamedTuple, Tuple

from .code_use import CodeUse, parsed

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head")
"""LoRA targets of VideoChat2-Mistral, stage 3 (``models/videochat_mistra/videochat2_it_mistral.py``)."""


class Shape(NamedTuple):
    """The widths of the miniature: upstream's structure, so small that a step takes milliseconds."""

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
    """The model to build, and how it is trained.

    ``learning_rate`` is the project's own. It is only used to compute how much one step would change at the real
    ``fan_in``. The probe trains at ``probe_rate``, at which a few steps change the loss by more than the rounding of
    bfloat16. ``plant`` names the outliers in the miniature; ``stress`` lists those to plant one after the other.
    ``entry`` (``module:function`` or ``file.py:function``) or ``checkpoint`` (a path) replaces the miniature.
    ``max_tokens`` cuts each text.
    ``doors`` are trained through; with ``import_doors`` the other doors are imported, too.
    ``architecture`` is the JSON of a model's configuration: the miniature's language model is then this model with two
    small layers. Without it, it is Mistral (Llama in a transformers without Mistral).
    ``compiled`` runs the forward pass through torch.compile. ``variants`` are names of shared/variants.py: each trains
    the recipes ``variant_recipes`` once more. ``rl`` compares the probabilities of tokens in trainer and rollout.
    ``names`` (``module:name``) are what the user's programs import from packages.
    Without ``adapters`` every weight is trained where a recipe trains adapters, and peft is not imported.
    ``use`` is what the user's code does at the doors.
    ``files`` (kind, class, path) are what they load from this machine.
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
    max_tokens: int = 512
    doors: Tuple[str, ...] = ()
    import_doors: bool = False
    architecture: str = ""
    compiled: bool = False
    variants: Tuple[str, ...] = ()
    variant_recipes: Tuple[str, ...] = ()
    rl: bool = False
    names: Tuple[str, ...] = ()
    adapters: bool = True
    use: CodeUse = CodeUse()
    files: Tuple[Tuple[str, str, str], ...] = ()


def parse(text: str) -> Spec:
    """Return the spec of the JSON object ``text``; a missing key, or an empty text, means defaults.

    Raises:
        TypeError: a key is unknown.
        ValueError: the text is not JSON.
    """
    keys: Dict[str, Any] = json.loads(text or "{}")
    fields: Dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in keys.items()}
    if "shape" in fields:
        fields["shape"] = Shape(**fields["shape"])
    if "use" in fields:
        fields["use"] = parsed(fields["use"])
    # A spec is a key of caches, so it holds no lists.
    fields["files"] = tuple(tuple(file) for file in fields.get("files", ()))
    return Spec(**fields)


def entry_parts(entry: str) -> Tuple[str, str]:
    """Return the module (or the file with the suffix ``.py``) and the function of an entry."""
    place, _, function = entry.rpartition(":")
    return place, function
