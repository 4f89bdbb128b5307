"""Installed versions differ from the versions that the project pins.

This check compares the installed versions with the pins of the profile. It runs only if you choose the profile with
``--profile``.

Why it matters: the project was published with its pinned versions. The finding is a note, because training that works
here outweighs what was pinned elsewhere.

What to do: to train exactly as the project does, install its versions in a separate environment.
"""

from collections.abc import Iterator

from packaging.specifiers import SpecifierSet

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity


def check(examination: Examination) -> Iterator[Finding]:
    """Find installed versions that differ from the pins of the profile."""
    if not examination.explicit_profile:
        return
    profile = examination.profile
    versions = examination.versions
    unmet_pins = {
        name: pin
        for name, pin in profile.pins.items()
        if name in versions and not SpecifierSet(pin).contains(versions[name], prereleases=True)
    }
    if not unmet_pins:
        return
    remedy, commands = advice.change_to_pins(examination, unmet_pins)
    yield Finding(
        id="VC015",
        severity=Severity.NOTE,
        message=f"{profile.title} pins other versions of {', '.join(unmet_pins)}",
        evidence=tuple(f"{name} {versions[name]} is installed, {pin} is pinned" for name, pin in unmet_pins.items()),
        remedy=remedy,
        commands=commands,
        url=profile.sources[0],
        packages=tuple(unmet_pins),
    )
