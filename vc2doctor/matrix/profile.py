"""A profile: the versions that one project pins, and the settings that it trains with."""

from typing import Literal

from pydantic import Field, model_validator

from vc2doctor.core.data import Data
from vc2doctor.core.precision import bits_of
from vc2doctor.matrix.types import Name, Pattern, RecipeName, Specifier, Url
from vc2doctor.target.shared.spec import Shape

_SHAPE = Shape()


class Precision(Data):
    """The precision recipe that a project uses, and the one that it should use."""

    trains: RecipeName
    """The recipe of the code as the project ships it."""
    recommended: RecipeName
    """The recipe that decides the verdict of ``vc2doctor check``, unless the user names another one."""
    reason: str


class Training(Data):
    """The optimizer's settings as the project ships them."""

    optimizer: str
    learning_rate: float = Field(gt=0)
    betas: tuple[float, float]
    weight_decay: float = Field(ge=0)
    max_grad_norm: float | None = None
    """``None``: gradients are not clipped."""
    gradient_checkpointing: bool
    padding: Literal["left", "right"]
    inputs_embeds: bool


class Lora(Data):
    """The LoRA adapters as the project ships them."""

    r: int = Field(gt=0)
    alpha: int = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    targets: tuple[str, ...]


class Miniature(Data):
    """The sizes of the small model that the probe builds with the structure of the project's model."""

    hidden: int = Field(default=_SHAPE.hidden, gt=0)
    intermediate: int = Field(default=_SHAPE.intermediate, gt=0)
    layers: int = Field(default=_SHAPE.layers, gt=0)
    heads: int = Field(default=_SHAPE.heads, gt=0)
    kv_heads: int = Field(default=_SHAPE.kv_heads, gt=0)
    vocabulary: int = Field(default=_SHAPE.vocabulary, ge=8)
    vision_width: int = Field(default=_SHAPE.vision_width, gt=0, multiple_of=4)
    vision_blocks: int = Field(default=_SHAPE.vision_blocks, gt=0)
    frames: int = Field(default=_SHAPE.frames, gt=0)
    image: int = Field(default=_SHAPE.image, gt=0)
    patch: int = Field(default=_SHAPE.patch, gt=0)
    queries: int = Field(default=_SHAPE.queries, gt=0)
    extra_queries: int = Field(default=_SHAPE.extra_queries, gt=0)
    qformer_blocks: int = Field(default=_SHAPE.qformer_blocks, gt=0)

    @model_validator(mode="after")
    def _check_divisibility(self) -> "Miniature":
        for whole, part in (("hidden", "heads"), ("heads", "kv_heads"), ("image", "patch")):
            if getattr(self, whole) % getattr(self, part):
                message = f"{whole} is not a multiple of {part}"
                raise ValueError(message)
        if self.hidden // self.heads % 2:
            message = "hidden / heads is odd; rotary positions need pairs"
            raise ValueError(message)
        return self


class Maximum(Data):
    """The largest absolute activation of a model: published, or measured by this project."""

    model: str
    """The publisher's name: ``google/gemma-3-27b-it``."""
    largest: float = Field(gt=0)
    where: str
    source: Url
    """The page that gives the number, or the tool that measured it."""
    note: str = ""

    @property
    def bits(self) -> float:
        """Headroom in float16, in bits; negative if float16 overflows."""
        return bits_of(self.largest)


class Profile(Data):
    """The versions that one project pins, and the settings that it trains with."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    sources: tuple[Url, ...] = Field(min_length=1)
    python: Specifier | None = None
    pins: dict[Name, Specifier]
    precision: Precision
    training: Training
    lora: Lora
    subject: Literal["videochat2", "language"] = "videochat2"
    """The model that the probe builds: VideoChat2's video and language models, or a language model only."""
    fan_in: tuple[int, ...] = (4096, 14336)
    """Input widths of the adapted layers in the full-size model."""
    miniature: Miniature = Miniature()
    classes: tuple[Pattern, ...] = ()
    """Regular expressions for the names of the project's model classes. Code that defines or builds one of them is
    judged by this profile."""
    model_types: tuple[str, ...] = ()
    """The types of its models, for known issues of single models."""
    base_model: str | None = None
    """The language model that is trained, by the publisher's name."""
    maxima: tuple[Maximum, ...] = ()
    """Known activation ranges, of this project's models and of others."""
