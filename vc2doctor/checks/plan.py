"""What the user wants to do. The examination is judged by it."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from vc2doctor.checks.policy import Waiver
from vc2doctor.core.data import OwnData
from vc2doctor.core.invocation import Invocation
from vc2doctor.findings import Severity
from vc2doctor.linter.settings import AppliedSettings

Accepted = Literal["versions", "inferred"]
"""Versions that were measured to train, or also those that are inferred to train from measured ones."""


class JudgedAs(OwnData):
    """What kind of training the environment is judged for, and why."""

    subject: str
    """``plain language model``, a project (``VideoChat2-Mistral, stage 3``), or the type of a model (``qwen2``)."""
    reason: str
    """What this follows from, in words: ``no code given``."""
    model_types: tuple[str, ...] = ()
    """The types of the model, as ``model_type`` in config.json has them; empty: unknown."""
    config: str | None = None
    """The configuration file that the type was read from; ``None``: another thing says it."""
    is_exact: bool = True
    """Whether a configuration, a class or the user says so; ``False``: only the name of the model does."""


PLAIN = JudgedAs(subject="plain language model", reason="no code given")
"""What is judged if nothing says more."""


class CodeImport(OwnData):
    """A name that a program of the training code imports from a package."""

    module: str
    name: str
    path: str
    """Relative to the working directory."""
    line: int


class FileMark(OwnData):
    """Something in a file that the installed release of a package cannot read."""

    file: str
    key: str
    """The key and its value, as a part of a sentence."""
    package: str
    written_since: str
    """The first release that writes it."""
    affected: str
    """The releases that cannot read it, as a specifier."""
    read_since: str
    """The first release with which the file works."""
    is_ignored: bool = False
    """Whether the affected releases leave it out without an error."""


class SavedFile(OwnData):
    """A local file or folder that the training code loads."""

    kind: str
    """``config``, ``adapter``, ``tokenizer``, ``trainer-state``, ``parquet`` or ``dataset``: how it is loaded."""
    loader: str
    """The class that loads it, such as ``AutoTokenizer``; empty: it is not known."""
    target: str
    """What is loaded: an absolute path."""
    file: str
    """The file in it that is named in findings, relative to the working directory if it lies below."""
    files: tuple[str, ...] = ()
    """The files that are read: absolute paths."""
    marks: tuple[FileMark, ...] = ()
    problem: str = ""
    """Why it cannot be read, in words."""
    is_custom: bool = False
    """Whether code that came with the file reads it."""
    path: str
    """The file of the code that names it."""
    line: int


class AskedVersion(OwnData):
    """What a file of the project asks for of one package."""

    specifier: str
    """``==5.23.0``, ``>=4.28,<4.40``."""
    location: str
    """``path:line``, relative to the folder of the project."""


class Plan(OwnData):
    """What the user wants to do. The examination is judged by it."""

    profile: str
    judged_as: JudgedAs = PLAIN
    precision: str
    """The recipe that decides the verdict."""
    device: str
    learning_rate: float | None = None
    """What the user or the code names; ``None``: nothing does."""
    require_gpu: bool
    probe: bool
    fail_on: Severity
    entry: str | None = None
    """The user's function that builds the model; ``None``: the profile's miniature is trained."""
    checkpoint: str | None = None
    """Weights on disk that replace the miniature."""
    code: str | None = None
    """The training code that was linted as well."""
    code_recipes: Mapping[str, str] = Field(default_factory=dict)
    """Entry point of the code → the recipe that it trains in, if the linter could find it out."""
    code_silenced: int = 0
    """How many findings in the code are silenced: by comments, by per-file ignores, or by rules that are off."""
    doors: tuple[str, ...] = ()
    """The doors that decide the verdict, beside the plain loop: names of ``target/doors``."""
    variants: tuple[str, ...] = ()
    """The ways to train of ``target/shared/variants.py`` that the user asked for; they decide the verdict as well."""
    formats: tuple[str, ...] = ()
    """The quantized and FP8 formats that the code uses: ids of ``matrix/quantized_formats.py``."""
    adapters: bool = True
    """Whether adapters are trained; ``False``: peft is not installed, and the code never mentions adapters."""
    files_read: tuple[str, ...] = ()
    """The local files that the code loads and that were judged: absolute paths."""
    trains: bool = True
    """Whether training steps are run. The range of a checkpoint can be measured without them."""
    recipes_left_out: tuple[str, ...] = ()
    """The recipes that were not run because neither the user nor the code trains in them."""
    accept: Accepted | None = None
    """Which versions are enough for ``fit``, although nothing was trained here; ``None``: none are."""
    waivers: tuple[Waiver, ...] = ()
    """The entries of the policy."""
    settings: AppliedSettings | None = None
    """The settings file that was read; ``None``: there was none."""
    code_settings: AppliedSettings | None = None
    """The settings file that was read for linting ``code``."""
    invocation: Invocation = Invocation()
    """How the doctor was started: every command that runs it again is built from this."""

    @property
    def custom_subject(self) -> str | None:
        """The user's function or checkpoint that replaces the miniature."""
        return self.entry or self.checkpoint
