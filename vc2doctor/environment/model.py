"""The facts of an environment, as data."""

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from vc2doctor.core.data import Data

STACK_PACKAGES = ("torch", "transformers", "peft")
"""What a fine-tune imports; without one of them there is nothing to examine."""

COMPANION_PACKAGES = ("numpy", "accelerate", "tokenizers", "huggingface-hub", "safetensors", "setuptools", "jinja2")
"""What the stack leans on; their versions are part of a combination. The last two are needed without being declared."""


class Interpreter(Data):
    """The target interpreter."""

    path: str
    """The executable as it was given."""
    version: str
    """``3.11.7``."""
    implementation: str
    prefix: str
    kind: str
    """``venv``, ``conda`` or ``system``."""
    externally_managed: bool
    """PEP 668: pip refuses to install here."""
    has_pip: bool

    @property
    def minor(self) -> str:
        """``3.11`` of ``3.11.7``: what wheels are built for."""
        return ".".join(self.version.split(".")[:2])


class Platform(Data):
    """Where the target interpreter runs, in the words of ``platform``."""

    system: str
    release: str
    machine: str
    libc: str
    markers: dict[str, str]
    """The PEP 508 environment of the target, which decides what a requirement's marker means there."""


class Distribution(Data):
    """One installed distribution, as its metadata directory tells it."""

    name: str
    """Canonical name (PEP 503)."""
    version: str | None
    path: str
    """The metadata directory."""
    requires: tuple[str, ...] = ()
    installer: str | None = None
    editable: bool = False
    extras: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """What is broken about it: METADATA missing, RECORD unreadable, files lost."""

    @property
    def parsed(self) -> Version | None:
        """The version, or ``None`` where there is none or it is not one (PEP 440)."""
        try:
            return Version(self.version) if self.version else None
        except InvalidVersion:
            return None


class Module(Data):
    """Where the target interpreter would import a package from, found without importing it."""

    name: str
    origin: str | None
    """The file; ``None`` with ``found`` for a folder without ``__init__.py``."""
    found: bool


class Shadow(Data):
    """A file or folder of the current directory that a script started there would import instead of a package."""

    module: str
    path: str


class Cpu(Data):
    """The processor, and those of its flags that decide how fast bfloat16 is."""

    model: str | None
    cores: int
    flags: tuple[str, ...]
    memory: int | None
    """Bytes, of the machine."""


class Gpu(Data):
    """One GPU as NVML tells it, or one MIG slice of it."""

    index: int
    name: str
    capability: tuple[int, int] | None
    memory_total: int | None
    """Bytes; of the slice, for MIG."""
    memory_free: int | None
    mig: bool = False


class Nvidia(Data):
    """What the NVIDIA driver says; a machine without a driver is a fact, told in ``note``."""

    driver: str | None = None
    cuda: tuple[int, int] | None = None
    """The highest CUDA that the driver serves."""
    gpus: tuple[Gpu, ...] = ()
    """Those that ``CUDA_VISIBLE_DEVICES`` leaves visible, in its order."""
    hidden: int = 0
    """How many more there are that it hides."""
    visible: str | None = None
    """``CUDA_VISIBLE_DEVICES``, where it is set."""
    note: str | None = None


class Environment(Data):
    """Everything observed, before any training."""

    interpreter: Interpreter
    platform: Platform
    distributions: tuple[Distribution, ...]
    """In import order: of two with one name, the first is the one that is imported."""
    modules: tuple[Module, ...]
    shadows: tuple[Shadow, ...]
    cpu: Cpu
    nvidia: Nvidia

    def distribution(self, name: str) -> Distribution | None:
        """Return the distribution that ``name`` resolves to, or ``None``."""
        wanted = canonicalize_name(name)
        return next((found for found in self.distributions if found.name == wanted), None)

    def version(self, name: str) -> Version | None:
        """Return the version of ``name``, or ``None`` where it is missing or has none."""
        found = self.distribution(name)
        return found.parsed if found else None

    def module(self, name: str) -> Module | None:
        """Return where ``name`` would be imported from, if it was looked for."""
        return next((found for found in self.modules if found.name == name), None)
