"""The three kinds of entry in a matrix, as data."""

import math
import re
from typing import Annotated, Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, Field, model_validator

from vc2doctor.data import Data
from vc2doctor.matrix.verdicts import Verdicts
from vc2doctor.probe.worker.recipes import RECIPES
from vc2doctor.probe.worker.spec import Shape

_SHAPE = Shape()


def _name(value: str) -> str:
    if canonicalize_name(value) != value:
        message = f"{value!r} is not a canonical distribution name; write {canonicalize_name(value)!r}"
        raise ValueError(message)
    return value


def _specifier(value: str) -> str:
    try:
        SpecifierSet(value)
    except InvalidSpecifier as error:
        message = f"{value!r} is not a version specifier such as '>=0.7,<0.12'"
        raise ValueError(message) from error
    return value


def _version(value: str) -> str:
    try:
        Version(value)
    except InvalidVersion as error:
        message = f"{value!r} is not a version (PEP 440)"
        raise ValueError(message) from error
    return value


def _recipe(value: str) -> str:
    if value not in RECIPES:
        message = f"{value!r} is not a recipe; there are {', '.join(RECIPES)}"
        raise ValueError(message)
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        message = f"not a regular expression: {error}"
        raise ValueError(message) from error
    return value


def _requirement(value: str) -> str:
    try:
        Requirement(value)
    except InvalidRequirement as error:
        message = f"{value!r} is not a requirement such as 'peft>=0.18'"
        raise ValueError(message) from error
    return value


Name = Annotated[str, AfterValidator(_name)]
Specifier = Annotated[str, AfterValidator(_specifier)]
VersionText = Annotated[str, AfterValidator(_version)]
RecipeName = Annotated[str, AfterValidator(_recipe)]
RequirementText = Annotated[str, AfterValidator(_requirement)]
Url = Annotated[str, Field(pattern=r"^https://\S+$")]
FLOAT16 = 65504.0
"""Float16's largest number."""
Outcome = Literal["error", "poisoned", "non-finite", "frozen", "underflow", "weak", "finite", "unsupported"]
"""Of one recipe, worst first; ``unsupported`` was not measured and is neither good nor bad."""


def bits_of(largest: float) -> float:
    """Return the headroom of float16 above ``largest``, in bits: negative where it overflows."""
    return math.log2(FLOAT16 / largest)


class Precision(Data):
    """What a project trains in, and what it should."""

    trains: RecipeName
    """As its code is shipped."""
    recommended: RecipeName
    """What ``vc2doctor check`` decides by, unless told otherwise."""
    reason: str


class Training(Data):
    """The optimiser's settings as the project ships them."""

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
    """The adapters as the project ships them."""

    r: int = Field(gt=0)
    alpha: int = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    targets: tuple[str, ...]


class Miniature(Data):
    """The widths to which the probe scales the project's model down: the structure stays."""

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
    def _fits(self) -> "Miniature":
        for whole, part in (("hidden", "heads"), ("heads", "kv_heads"), ("image", "patch")):
            if getattr(self, whole) % getattr(self, part):
                message = f"{whole} is not a multiple of {part}"
                raise ValueError(message)
        if self.hidden // self.heads % 2:
            message = "hidden / heads is odd; rotary positions need pairs"
            raise ValueError(message)
        return self


class Maximum(Data):
    """The largest absolute activation that was found in a model: published, or measured here."""

    model: str
    """As its publisher calls it: ``google/gemma-3-27b-it``."""
    largest: float = Field(gt=0)
    where: str
    source: Url
    """Of the number, or of the tool that measured it here."""
    note: str = ""

    @property
    def bits(self) -> float:
        """Headroom in float16: negative where it overflows."""
        return bits_of(self.largest)


class Profile(Data):
    """What one project pins and trains with."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    sources: tuple[Url, ...] = Field(min_length=1)
    python: Specifier | None = None
    pins: dict[Name, Specifier]
    precision: Precision
    training: Training
    lora: Lora
    subject: Literal["videochat2", "language"] = "videochat2"
    """What the probe builds in miniature: VideoChat2's wiring of video and language model, or the latter alone."""
    fan_in: tuple[int, ...] = (4096, 14336)
    """Input widths of the adapted layers at full size."""
    miniature: Miniature = Miniature()
    base_model: str | None = None
    """The language model that is trained, as its publisher calls it."""
    maxima: tuple[Maximum, ...] = ()
    """What is known of the range of this project's models, and of others."""


class KnownIssue(Data):
    """One reported defect: where it strikes, how it shows, what mends it."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    severity: Literal["error", "warning", "note"]
    explanation: str
    symptom: Annotated[str, AfterValidator(_pattern)]
    """A regular expression that finds the defect's message in what was raised."""
    recipes: tuple[RecipeName, ...] = ()
    """The recipes that it spoils; none named means all of them."""
    probe_sees: bool = True
    """Whether the probe runs into it: then a probe that trains outweighs a report."""
    when: tuple[dict[Name, Specifier], ...] = Field(min_length=1)
    """Alternatives; in one, every named distribution is installed in the named versions."""
    fix: tuple[tuple[RequirementText, ...], ...] = Field(min_length=1)
    """Alternatives, the best first; each mends the defect."""
    sources: tuple[Url, ...] = Field(min_length=1)
    evidence: str
    """How the boundaries were found."""


class Missing(Data):
    """What an import did not find: a module, or a symbol in one."""

    module: str
    symbol: str | None = None


class Failure(Data):
    """What was raised, where, and by whose code."""

    type: str
    message: str
    file: str | None = None
    """Below the import root: ``peft/peft_model.py``."""
    line: int | None = None
    package: str | None = None
    missing: Missing | None = None


class Cell(Data):
    """A combination: the interpreter's minor version and the three packages of the stack."""

    python: str = Field(pattern=r"^3\.\d+$")
    torch: VersionText
    transformers: VersionText
    peft: VersionText


class EvidenceLine(Data):
    """One measured cell: one line of ``matrices/evidence/*.jsonl``."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: str
    """Of the cell, in the noxfile."""
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    worker: str
    cell: Cell
    asked: tuple[RequirementText, ...] = ()
    """What the resolver was asked for beside the cell's three packages: ``numpy<2``."""
    install: Literal["installed", "unsatisfiable", "no-wheel", "build-failed"] = "installed"
    install_message: str | None = None
    """What the resolver said, where it installed nothing."""
    resolved: dict[Name, VersionText]
    """What the resolver chose for the distributions that the stack leans on."""
    platform: str
    device: str
    import_failure: Failure | None = None
    recipes: dict[RecipeName, Outcome]
    failures: dict[RecipeName, Failure] = Field(default_factory=dict)
    """Of the recipes whose outcome is ``error``."""
    adapter: Literal["same", "different", "error", "not reached"]
    """Whether save, reload and generate gave the trained model back."""
    adapter_failure: Failure | None = None
    """What save, reload or generate raised."""
    seconds: float

    @property
    def text(self) -> str:
        """The line as it stands in a file."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    @property
    def versions(self) -> dict[str, str]:
        """Every version that is known of the cell, Python's among them: what was pinned, chosen, and asked for."""
        pinned = {}
        for text in self.asked:
            requirement = Requirement(text)
            for one in requirement.specifier:
                if one.operator == "==":
                    pinned[requirement.name] = one.version
        return {**pinned, **self.resolved, **self.cell.model_dump()}

    def trains(self, recipe: str) -> bool | None:
        """Return whether this cell trains under ``recipe``; ``None``: it was not measured there."""
        if self.import_failure is not None or self.install != "installed":
            return False
        outcomes = [self.recipes.get(name, "unsupported") for name in ("fp32", recipe)]
        if any(outcome not in ("finite", "unsupported") for outcome in outcomes):
            return False
        if "unsupported" in outcomes:
            return None
        return self.adapter == "same"


class Matrix(Data):
    """Everything that is known."""

    profiles: dict[str, Profile]
    issues: tuple[KnownIssue, ...]
    verdicts: Verdicts
