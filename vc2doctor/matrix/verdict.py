"""What is judged, and what the answer looks like."""

from collections.abc import Mapping
from enum import Enum

from packaging.version import Version
from pydantic import Field

from vc2doctor.core.data import OwnData

TRITON = "triton"
"""The distribution that torch's builds for GPUs bring on Linux: https://pypi.org/pypi/torch/2.13.0/json."""
CPU_BUILD = "+cpu"
"""In the version of a build of torch that brings no triton."""
ANY_VERSION = "0"
"""Stands for the version of a distribution that an installer chooses."""


class Verdict(str, Enum):
    """The matrix's verdict on a combination."""

    VERIFIED = "verified"
    COMPATIBLE = "compatible"
    INCOMPATIBLE = "incompatible"
    UNVERIFIED = "unverified"


class Combination(OwnData):
    """Versions that are installed together, or that a user wants to install together."""

    python: str | None
    """Minor version, such as ``3.11``; ``None``: not named."""
    versions: dict[str, str]
    """By canonical name: the stack, and any of the packages that it depends on."""
    installed: bool = True
    """Whether this is a complete environment: a package that is not named is absent, and no resolver is involved."""
    builds: dict[str, str] = Field(default_factory=dict)
    """The builds of packages whose files were looked at (``cu121``, ``cpu``), by name."""
    model_types: tuple[str, ...] = ()
    """The types of the model that is trained; empty: unknown. Some known issues are those of single models."""

    @property
    def written(self) -> dict[str, str]:
        """``versions``, with the key ``python`` if that version is known."""
        return self.versions if self.python is None else {**self.versions, "python": self.python}

    @property
    def named(self) -> dict[str, str]:
        """``written``, with what an installer adds to torch."""
        if not self.installed and "torch" in self.versions and CPU_BUILD not in self.versions["torch"]:
            return {TRITON: ANY_VERSION, **self.written}
        return self.written

    def after(self, changes: Mapping[str, str]) -> "Combination":
        """Return the combination with other versions; a package that changes has the build that its version names."""
        builds = {name: build for name, build in self.builds.items() if name not in changes}
        return self.model_copy(update={"versions": {**self.versions, **changes}, "builds": builds})

    def version(self, name: str) -> Version:
        """Return the version of the distribution ``name``.

        Raises:
            KeyError: the combination does not name it.
        """
        return Version(self.versions[name])


class DoorJudgement(OwnData):
    """A verdict on a combination behind one door."""

    door: str
    verdict: Verdict
    reason: str
    constraints: tuple[str, ...] = ()
    """Ids of the constraints that decide."""


class Judgement(OwnData):
    """A verdict on a combination, with its reason."""

    verdict: Verdict
    reason: str
    issues: tuple[str, ...] = ()
    """Ids of the known issues that decide."""
    constraints: tuple[str, ...] = ()
    """Ids of the constraints that decide."""
    conditions: tuple[str, ...] = ()
    """Known issues of these versions that break only some training code; the versions do not show whether this one."""
    doors: tuple[DoorJudgement, ...] = ()
    """Verdicts on the other doors whose packages are installed; if only some packages are named, on every door that a
    constraint rules out. Empty if the versions fail behind every door."""
    uncertainty: str = ""
    """For ``unverified``: a key that is equal for all combinations that one measurement would settle."""
