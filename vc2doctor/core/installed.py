"""What is installed beside the doctor."""

from importlib import metadata

from packaging.requirements import Requirement


def is_met(requirement: Requirement) -> bool:
    """Return whether a distribution that meets ``requirement`` is installed beside the doctor."""
    try:
        installed = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(installed, prereleases=True)
