"""The spec for the worker, from the profile and from what the user passed."""

from pathlib import Path
from typing import Any

from vc2doctor.core.data import Data
from vc2doctor.matrix.profile import Profile
from vc2doctor.probe.sample_texts import TEXTS
from vc2doctor.target.shared.outliers import OUTLIERS


class Subject(Data):
    """What the user wants to train instead of the profile's miniature, or how to change the miniature."""

    entry: str | None = None
    """``module:function`` of the user's own."""
    checkpoint: Path | None = None
    """A folder with safetensors, or a GGUF file."""
    texts: tuple[str, ...] = ()
    """Texts for the checkpoint; without any, it gets sample texts."""
    stress: bool = False
    """Whether to plant outliers into the miniature, one set after the other."""
    seed: int = 0
    attention: str | None = None
    """``None``: the default of transformers."""
    doors: tuple[str, ...] = ()
    """The doors to train through."""
    import_doors: bool = False
    """Whether the other doors are imported."""


def spec_of(profile: Profile, subject: Subject, architecture: str = "") -> dict[str, Any]:
    """Return the spec for ``subject`` in ``profile``: keys of ``target/shared/spec.py``.

    ``architecture`` is the JSON of the configuration of the model that is trained; empty: the profile's miniature.
    """
    return {
        "architecture": architecture,
        "model": profile.subject,
        "r": profile.lora.r,
        "alpha": profile.lora.alpha,
        "dropout": profile.lora.dropout,
        "targets": profile.lora.targets,
        "learning_rate": profile.training.learning_rate,
        "betas": profile.training.betas,
        "weight_decay": profile.training.weight_decay,
        "fan_in": profile.fan_in,
        "checkpointing": profile.training.gradient_checkpointing,
        "shape": profile.miniature.model_dump(),
        "entry": subject.entry or "",
        "checkpoint": str(subject.checkpoint) if subject.checkpoint else "",
        "texts": subject.texts or TEXTS,
        "stress": tuple(OUTLIERS) if subject.stress else (),
        "seed": subject.seed,
        "attention": subject.attention or "default",
        "doors": subject.doors,
        "import_doors": subject.import_doors,
    }
