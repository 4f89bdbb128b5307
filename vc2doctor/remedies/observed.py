"""What an exception says about versions: the release that its message asks for, and the packages that it names."""

import re
from collections.abc import Collection, Iterator, Mapping

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from vc2doctor.core.failure import Failure
from vc2doctor.core.names import mentioned
from vc2doctor.core.versions import MAX_VERSION_LENGTH, contains

_REQUIREMENTS = {
    "pkg_resources": "setuptools<82",
    "PIL": "pillow",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""What to install for an import package whose distribution has another name. setuptools has pkg_resources up to 81.0.0
(read in its wheels: ``matrices/releases.json``)."""
_BINARY_MISMATCH = re.compile(
    r"numpy\.dtype size changed|compiled using NumPy 1\.x cannot be run in|numpy\.core\.multiarray failed to import"
    r"|_ARRAY_API not found"
)
"""A compiled module was built for the other major release of NumPy:
https://numpy.org/doc/stable/dev/depending_on_numpy.html#numpy-2-abi-handling."""
_VERSION = r"v?(\d+(?:\.\w+)*)"
_CLAUSE = r"(?:==|>=|<=|~=|!=|>|<)\s*\d[\w.]*(?:\.\*)?"
_REQUIREMENT = re.compile(rf"(?<![\w.-])([A-Za-z][\w.-]*?)(?:\[[\w,-]+\])?\s*({_CLAUSE}(?:\s*,\s*{_CLAUSE})*)")
"""``tokenizers>=0.22.0,<=0.23.0``."""
_FOUND = re.compile(r"(?:found|got|have|installed|version is)\W*$", re.IGNORECASE)
"""Words before a version that is there, not wanted: ``but found tokenizers==0.19.1``."""
_SENTENCES = (
    # peft: "Found an incompatible version of torchao. Found version 0.10.0, but only versions above 0.16.0 are
    # supported". Its code accepts 0.16.0 itself.
    re.compile(rf"version of [`']?([\w.-]+?)[`']?\. .*?only versions? (?:above|from) {_VERSION}", re.IGNORECASE),
    # "requires torchao version 0.16.0 or higher", "requires accelerate at least version 0.26"
    re.compile(
        rf"(?:requires?|needs?) (?:the )?[`']?([\w.-]+)[`']? (?:library )?(?:version |at least )+{_VERSION}",
        re.IGNORECASE,
    ),
    # "pyarrow requires NumPy 2.0 or newer, found 1.26.4"
    re.compile(
        rf"(?:requires?|needs?) (?:the )?[`']?([\w.-]+)[`']? {_VERSION} (?:or|and) (?:newer|higher|later|above)",
        re.IGNORECASE,
    ),
    # "Please upgrade accelerate to 0.26.0", "update bitsandbytes to at least 0.46.1"
    re.compile(rf"(?:upgrade|update) [`']?([\w.-]+)[`']? to (?:at least )?(?:version )?{_VERSION}", re.IGNORECASE),
)


def requirement_for(module: str, installed: Mapping[str, str]) -> str | None:
    """Return the requirement that brings a missing module; ``None``: it is installed, so it should be there."""
    top = module.partition(".")[0]
    try:
        requirement = Requirement(_REQUIREMENTS.get(top, top))
    except InvalidRequirement:
        # The message of the target names something that no index can have.
        return None
    found = installed.get(canonicalize_name(requirement.name))
    is_met = found is not None and contains(str(requirement.specifier), found)
    return None if is_met else str(requirement)


def wanted_versions(failure: Failure, installed: Mapping[str, str]) -> dict[str, str]:
    """Return the specifiers that the message of ``failure`` asks for, by the name of an ``installed`` distribution."""
    wanted: dict[str, str] = {}
    if "numpy" in installed and _BINARY_MISMATCH.search(failure.message):
        # Modules that were built for NumPy 2 also run with 1; those that were built for 1 do not run with 2.
        wanted["numpy"] = "<2" if contains(">=2", installed["numpy"]) else ">=2"
    for name, specifier in _statements(failure.message):
        canonical = canonicalize_name(name)
        if canonical in installed and canonical not in wanted and _is_valid(specifier):
            wanted[canonical] = specifier
    return wanted


def named_packages(failure: Failure, installed: Collection[str]) -> frozenset[str]:
    """Return the ``installed`` distributions that ``failure`` names: in its message, its file, or what is missing."""
    places = [failure.package or "", failure.missing.module.partition(".")[0] if failure.missing else ""]
    named = mentioned(failure.message) | {canonicalize_name(place) for place in places if place}
    return named.intersection(installed)


def _statements(message: str) -> Iterator[tuple[str, str]]:
    """Yield the names and specifiers that a message asks for, in its order of certainty."""
    for match in _REQUIREMENT.finditer(message):
        if not _FOUND.search(message[: match.start()]):
            yield match[1], match[2].replace(" ", "")
    for pattern in _SENTENCES:
        for match in pattern.finditer(message):
            yield match[1], f">={match[2].rstrip('.')}"


def _is_valid(specifier: str) -> bool:
    try:
        SpecifierSet(specifier if len(specifier) <= MAX_VERSION_LENGTH else "too long")
    except InvalidSpecifier:
        return False
    return True
