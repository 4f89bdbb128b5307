"""What is judged, and what the answer looks like."""

from enum import Enum

from packaging.version import Version

from vc2doctor.core.data import Data

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


class Combination(Data):
    """Versions that are installed together, or that a user wants to install together."""

    python: str | None
    """Minor version, such as ``3.11``; ``None``: not named."""
    versions: dict[str, str]
    """By canonical name: the stack, and any of the packages that it depends on."""
    installed: bool = True
    """Whether this is a complete environment: a package that is not named is absent, and no resolver is involved."""
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

    def version(self, name: str) -> Version:
        """Return the version of the distribution ``name``.

        Raises:
            KeyError: the combination does not name it.
        """
        return Version(self.versions[name])


class DoorJudgement(Data):
    """A verdict on a combination behind one door."""

    door: str
    verdict: Verdict
    reason: str
    constraints: tuple[str, ...] = ()
    """Ids of the constraints that decide."""


class Judgement(Data):
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
