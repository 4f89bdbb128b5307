"""Installed versions differ from those that the project pins.

Part of the cure is "the project's own versions": told only where the profile was named, and as a note, since what
trains here outweighs what was pinned elsewhere.
"""

from collections.abc import Iterator

from packaging.specifiers import SpecifierSet

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.remedies import commands


def check(examination: Examination) -> Iterator[Finding]:
    """Find versions that differ from the profile's pins."""
    if not examination.explicit_profile:
        return
    profile = examination.profile
    versions = examination.versions
    different = {
        name: specifier
        for name, specifier in profile.pins.items()
        if name in versions and not SpecifierSet(specifier).contains(versions[name], prereleases=True)
    }
    if not different:
        return
    requirements = [f"{name}{specifier}" for name, specifier in different.items()]
    yield Finding(
        id="VC015",
        severity=Severity.NOTE,
        message=f"{len(different)} installed versions differ from what {profile.title} pins",
        evidence=tuple(f"{name} {versions[name]} is installed, {different[name]} is pinned" for name in different),
        remedy="To train exactly as the project does, install its versions in an environment of their own.",
        commands=(commands.install(examination.environment.interpreter, requirements),),
        url=profile.sources[0],
    )
