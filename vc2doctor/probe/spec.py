"""The spec for the worker, from the profile and from what the user passed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from vc2doctor.core.data import OwnData
from vc2doctor.matrix.profile import Profile
from vc2doctor.probe.sample_texts import TEXTS
from vc2doctor.target.shared.outliers import OUTLIERS


class Subject(OwnData):
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
    attention: tuple[str, ...] = ()
    """Attention code: the first is used for all recipes, and the others are compared with it; empty: the default of
    transformers."""
    compiled: bool = False
    """Whether to train through torch.compile as well."""
    deterministic: bool = False
    """Whether to train with deterministic algorithms as well."""
    rl: bool = False
    """Whether to compare trainer and rollout of reinforcement learning."""
    doors: tuple[str, ...] = ()
    """The doors to train through."""
    import_doors: bool = False
    """Whether the other doors are imported."""
    names: tuple[str, ...] = ()
    """``module:name``: what the user's programs import from the packages of the stack."""
    adapters: bool = True
    """Whether adapters are trained; otherwise every weight is."""

    use: Mapping[str, Any] = Field(default_factory=dict)
    """What the user's code does at the doors: the fields of ``target/shared/code_use.py``."""

    files: tuple[tuple[str, str, str], ...] = ()
    """Kind, class and path of the local files that the user's programs load."""

    @property
    def variants(self) -> tuple[str, ...]:
        """The ways in which it is trained once more, by name."""
        flags = {"deterministic": self.deterministic, "compiled": self.compiled}
        return (*(name for name, is_on in flags.items() if is_on), *self.attention[1:])


def spec_of(
    profile: Profile, subject: Subject, architecture: str = "", variant_recipes: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the spec for ``subject`` in ``profile``: keys of ``target/shared/spec.py``.

    ``architecture`` is the JSON of the configuration of the model that is trained; empty: the profile's miniature.
    ``variant_recipes`` are trained in the other ways.
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
        "attention": next(iter(subject.attention), "default"),
        "rl": subject.rl,
        "variants": subject.variants,
        "variant_recipes": tuple(variant_recipes),
        "doors": subject.doors,
        "import_doors": subject.import_doors,
        "names": subject.names,
        "adapters": subject.adapters,
        "use": dict(subject.use),
        "files": subject.files,
    }
