"""The facts about an environment, as data."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Literal, TypeVar

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import ConfigDict, Field, SerializeAsAny, field_validator

from vc2doctor.core.data import Data, OwnData
from vc2doctor.core.versions import STACK_PACKAGES

Facts = TypeVar("Facts", bound=Data)

COMPANION_PACKAGES = ("numpy", "accelerate", "tokenizers", "huggingface-hub", "safetensors", "setuptools", "jinja2")
"""What the stack depends on; their versions are part of a combination. The stack needs the last two without declaring
them."""


class TargetChoice(OwnData):
    """Which interpreter is examined, and why."""

    python: str = ""
    """The path of the executable."""
    origin: Literal["named", "VIRTUAL_ENV", "CONDA_PREFIX", "own"] = "named"
    """The user's option, the environment variable that says so, or ``own``: the interpreter that runs the doctor."""
    reason: str = "you named it"
    """The origin in words."""
    tool: str | None = None
    """The tool that made the doctor's own environment for the doctor alone: ``pipx``, ``pipx run``, ``uv tool``,
    ``uvx``."""
    is_project: bool = False
    """Whether the doctor's own environment is that of the project in the working directory."""
    others: tuple[str, ...] = ()
    """Virtual environments of the project that are not examined, relative to the working directory."""
    by_command: bool = False
    """Whether it follows from the command behind the gate."""


class Interpreter(Data):
    """The target interpreter."""

    path: str
    """The executable, as the user passed it."""
    version: str
    """``3.11.7``."""
    implementation: str
    prefix: str
    kind: str
    """``venv``, ``conda`` or ``system``."""
    externally_managed: bool
    """Whether pip refuses to install here (PEP 668)."""
    has_pip: bool

    @property
    def minor(self) -> str:
        """``3.11`` for ``3.11.7``: the part that wheels are built for."""
        return ".".join(self.version.split(".")[:2])


class Platform(Data):
    """The system that the target interpreter runs on, with the values of the module ``platform``."""

    system: str
    release: str
    machine: str
    libc: str
    markers: dict[str, str]
    """The values of PEP 508 environment markers in the target. They decide which requirements apply there."""


class Distribution(Data):
    """One installed distribution, as its metadata folder describes it."""

    name: str
    """The canonical name (PEP 503)."""
    version: str | None
    path: str
    """The metadata folder."""
    requires: tuple[str, ...] = ()
    installer: str | None = None
    editable: bool = False
    extras: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """What is damaged: METADATA is missing, RECORD cannot be read, files are lost."""

    @property
    def parsed(self) -> Version | None:
        """The version; ``None`` if there is none, or if it does not follow PEP 440."""
        try:
            return Version(self.version) if self.version else None
        except InvalidVersion:
            return None

    @property
    def named_version(self) -> Version | None:
        """The version in the name of the metadata folder, which outlives a lost METADATA; ``None``: there is none."""
        stem = PurePath(self.path).name.rpartition(".")[0]
        try:
            return Version(stem.split("-")[1])
        except (IndexError, InvalidVersion):
            return None


class Module(Data):
    """The place from which the target interpreter would import a module. It is found without an import."""

    name: str
    origin: str | None
    """The file. ``None`` with ``found`` set: a folder without ``__init__.py``."""
    found: bool


class Shadow(Data):
    """A file or folder in the working directory that a script started there imports instead of a package."""

    module: str
    path: str


class Cpu(OwnData):
    """The processor, with the flags that make half precision fast."""

    model: str | None
    cores: int
    flags: tuple[str, ...]
    memory: int | None
    """Bytes of the whole machine."""


class Gpu(OwnData):
    """One GPU as NVML describes it, or one MIG slice of it."""

    index: int
    name: str
    capability: tuple[int, int] | None
    memory_total: int | None
    """Bytes; for MIG, of the slice."""
    memory_free: int | None
    mig: bool = False


class Nvidia(OwnData):
    """What the NVIDIA driver reports. ``note`` says why there is no GPU, if there is none."""

    driver: str | None = None
    cuda: tuple[int, int] | None = None
    """The newest CUDA version that the driver supports."""
    gpus: tuple[Gpu, ...] = ()
    """The GPUs that ``CUDA_VISIBLE_DEVICES`` leaves visible, in its order."""
    hidden: int = 0
    """How many GPUs ``CUDA_VISIBLE_DEVICES`` hides."""
    visible: str | None = None
    """The value of ``CUDA_VISIBLE_DEVICES``; ``None`` if it is not set."""
    note: str | None = None


class Manager(OwnData):
    """What manages the packages of the environment, by the files that uv, poetry and conda leave."""

    made_by_uv: bool = False
    """Whether ``pyvenv.cfg`` says that uv made the environment."""
    uv_project: str | None = None
    """The folder with ``uv.lock`` whose ``.venv`` this environment is."""
    poetry_project: str | None = None
    """The folder with ``poetry.lock`` that this environment belongs to."""
    direct: dict[str, str] = Field(default_factory=dict)
    """The direct requirements of that project: the group by name, as an option such as ``--group dev``, or empty."""
    conda_packages: tuple[str, ...] = ()
    """The packages that conda installed, in conda's names."""


class Builds(Data):
    """The builds of torch and of what is compiled for it."""

    by_package: dict[str, str] = Field(default_factory=dict)
    """``cpu``, ``cu121`` or another local part, by the name of the package; what names no build is left out."""


class ObservationFailure(Data):
    """Why the target interpreter did not describe its environment."""

    ending: Literal["exit", "signal", "timeout", "flood", "unreadable"]
    """How it ended, or ``unreadable``: it answered, in a form that the doctor cannot read."""
    code: int | None = None
    signal: str | None = None
    seconds: float
    starts_without_site: bool = False
    """Whether it starts if it skips ``sitecustomize`` and the ``.pth`` files (``-S``)."""
    problem: str = ""
    """What cannot be read."""
    output: tuple[str, ...] = ()
    """The last lines that it printed."""

    @property
    def in_words(self) -> str:
        """How it failed, as a part of a sentence."""
        return {
            "exit": f"it ended early with exit code {self.code}",
            "signal": f"it was killed by {self.signal}",
            "timeout": f"it gave no answer in {self.seconds:.0f} s",
            "flood": "it wrote more than the doctor accepts",
            "unreadable": self.problem,
        }[self.ending]


class UnknownFacts(Data):
    """Facts in a saved report whose source this version of the doctor does not have."""

    model_config = ConfigDict(extra="allow")


class Environment(OwnData):
    """All facts that are known before any training."""

    interpreter: Interpreter
    platform: Platform
    distributions: tuple[Distribution, ...]
    """In import order: if two have the same name, Python imports the first."""
    modules: tuple[Module, ...]
    shadows: tuple[Shadow, ...]
    cpu: Cpu
    nvidia: Nvidia
    choice: TargetChoice = TargetChoice()
    failure: ObservationFailure | None = None
    """Why the interpreter did not say what is installed. All that it would have said is empty then."""
    further: dict[str, SerializeAsAny[Data]] = Field(default_factory=dict)
    """The facts of sources that have no field of their own, by the name of the source."""

    @field_validator("further", mode="before")
    @classmethod
    def _read_further(cls, value: object) -> object:
        """Return the facts with the classes of their sources: those of a saved report are plain objects."""
        if not isinstance(value, Mapping):
            return value
        return {name: _with_class(str(name), facts) for name, facts in value.items()}

    @property
    def is_unchosen(self) -> bool:
        """Whether this environment was not chosen: it is the doctor's own, and has no package of the stack.

        If a tool made it for the doctor alone, one missing package is enough, because nothing is installed there.
        """
        is_own = self.choice.origin == "own" and not self.choice.is_project and self.failure is None
        missing = [name for name in STACK_PACKAGES if self.version(name) is None]
        return is_own and (len(missing) == len(STACK_PACKAGES) or (self.choice.tool is not None and bool(missing)))

    def of(self, kind: type[Facts]) -> Facts | None:
        """Return the facts of the class ``kind`` among ``further``, or ``None`` if no source gave them."""
        return next((facts for facts in self.further.values() if isinstance(facts, kind)), None)

    @property
    def versions(self) -> dict[str, str]:
        """The installed versions by canonical name, without those that do not follow PEP 440."""
        return versions_of(self.distributions)

    @property
    def all_versions(self) -> dict[str, str]:
        """The installed versions by canonical name, as they are written: also those that do not follow PEP 440."""
        # Python imports the first of two distributions with one name.
        return {each.name: each.version for each in reversed(self.distributions) if each.version}

    def distribution(self, name: str) -> Distribution | None:
        """Return the installed distribution called ``name``, or ``None``."""
        canonical_name = canonicalize_name(name)
        return next((candidate for candidate in self.distributions if candidate.name == canonical_name), None)

    def version(self, name: str) -> Version | None:
        """Return the installed version of ``name``; ``None`` if it is not installed or has no valid version."""
        distribution = self.distribution(name)
        return distribution.parsed if distribution else None

    def module(self, name: str) -> Module | None:
        """Return where the target would import ``name`` from; ``None`` if the doctor did not look for it."""
        return next((module for module in self.modules if module.name == name), None)


def versions_of(distributions: Iterable[Distribution]) -> dict[str, str]:
    """Return the versions by canonical name, without those that do not follow PEP 440."""
    versions: dict[str, str] = {}
    for distribution in distributions:
        if distribution.version is not None and distribution.parsed is not None:
            # Python imports the first of two distributions with one name.
            versions.setdefault(distribution.name, distribution.version)
    return versions


def _with_class(source: str, facts: object) -> object:
    if not isinstance(facts, Mapping):
        return facts
    from vc2doctor.environment.sources import sources  # noqa: PLC0415 - the sources need this module

    kind = next((each.facts for each in sources() if each.name == source), UnknownFacts)
    return kind.model_validate(facts)
