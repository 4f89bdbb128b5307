"""The releases of a package that code will meet: the installed one, the pinned one, or what its requirements allow."""

import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.knowledge.api_table import PackageTable
from vc2doctor.linter.knowledge.held_back import PARTNERS, bits_with
from vc2doctor.linter.read.requirements import RequiredVersion

_EXACT = re.compile(r"={2,3}(\d[\w.]*)")
"""A specifier that allows one release."""

_FEWEST_RELEASES = 3
Certainty = Literal["known", "allowed", "unnamed"]
"""``known``: one release, installed or pinned. ``allowed``: a requirement allows several. ``unnamed``: there is no
requirement."""


class Target(NamedTuple):
    """The releases that code will meet."""

    certainty: Certainty
    bits: int
    """The releases that may be installed."""
    newest: int
    """The position of the release that an installer takes today."""
    reason: str
    """Such as ``requirements.txt:3 asks for transformers>=4.28``."""
    doubt: str = ""
    """Why another release may be installed; empty: nothing says so."""


class Judgement(NamedTuple):
    """Whether something is missing in the releases that code will meet."""

    is_certain: bool
    """Whether every release that may be installed lacks it."""
    release: str
    """The release that was judged."""
    reason: str
    doubt: str
    """Why another release may be installed; empty: nothing says so."""


def target_of(code: CodeFacts, folder: str, package: PackageTable) -> Target | None:
    """Return the releases that the code in the unit ``folder`` will meet; ``None``: unknown, or not in the table."""
    installed = code.files.installed.get(package.name)
    if installed is not None:
        position = package.position(installed)
        return None if position is None else _known(position, f"{package.name} {installed} is installed")
    required = requirement_of(code, folder, package.name)
    last = len(package.releases) - 1
    pins = _exact_pins(code, folder, package.name)
    if required is None:
        return _unnamed(package, pins, last)._replace(doubt=_doubt(code, folder))
    return _required(package, required, pins)


def _doubt(code: CodeFacts, folder: str) -> str:
    """Return the requirement that may bring the package along; empty: there is none.

    A project that uses a package without asking for it gets it as a dependency of something else. If that is a commit
    of a repository, its requirements are not known here, and research code pins its own.
    """
    while True:
        required = code.files.requirements.get(folder, {})
        source = next((name for name, entry in required.items() if entry.specifier is None), "")
        if source or not folder:
            return f"{source}, which is installed from a repository, may ask for another release" if source else ""
        folder = folder.rpartition("/")[0]


def _unnamed(package: PackageTable, pins: Mapping[str, str], last: int) -> Target:
    """Return the target of code that does not say which releases it is for: what its other pins allow."""
    bits = bits_with(package, pins)
    if bits in (0, package.everything):
        reason = f"no requirement says which {package.name}, and {package.releases[last]} is the newest"
        return Target("unnamed", package.everything, last, reason)
    newest = bits.bit_length() - 1
    pinned = ", ".join(f"{name}=={text}" for name, text in pins.items())
    reason = f"no requirement says which {package.name}, and {pinned} allows none after {package.releases[newest]}"
    return Target("unnamed", bits, newest, reason)


def _exact_pins(code: CodeFacts, folder: str, package: str) -> dict[str, str]:
    """Return the exact versions that a unit asks for, of the packages that hold others back.

    What a folder above asks for does not count if a nearer one asks for the package: each folder has its environment.
    """
    own = requirement_of(code, folder, package)
    nearest = own.file.rpartition("/")[0] if own is not None else ""
    pins = {}
    for name in PARTNERS:
        required = requirement_of(code, folder, name) if name != package else None
        if required is not None and nearest and not f"{required.file}/".startswith(f"{nearest}/"):
            continue
        match = _EXACT.fullmatch(required.specifier or "") if required is not None else None
        if match:
            pins[name] = match[1]
    return pins


def judgement_of(code: CodeFacts, folder: str, package: PackageTable, existence: int) -> Judgement | None:
    """Return what is missing in the unit ``folder``; ``None``: the release that an installer takes has it.

    Pins of other packages hold back a package that nothing names only if one command installs them all: who adds the
    missing package to an environment gets the newest release, and newer releases of what it requires.
    """
    target = target_of(code, folder, package)
    judgement = judge(existence, target, package) if target else None
    if judgement is not None or target is None or target.certainty != "unnamed" or target.bits == package.everything:
        return judgement
    newest = _unnamed(package, {}, len(package.releases) - 1)
    doubt = f"only where {package.name}, which no requirement names, is installed after the pins: {_holding(target)}"
    return judge(existence, newest._replace(doubt=doubt), package)


def _holding(target: Target) -> str:
    return target.reason.partition(", and ")[2]


def companions(code: CodeFacts, folder: str, package: str) -> dict[str, str]:
    """Return the versions of the packages beside one that stay: what is installed, else what the unit pins."""
    installed = {name: code.files.installed[name] for name in PARTNERS if name in code.files.installed}
    kept = installed or _exact_pins(code, folder, package)
    return {name: text for name, text in kept.items() if name != package}


def requirement_of(code: CodeFacts, folder: str, package: str) -> RequiredVersion | None:
    """Return what the unit's files ask for, else the files of a folder above it; ``None``: they do not name it."""
    while True:
        found = code.files.requirements.get(folder, {}).get(package)
        if found is not None or not folder:
            return found
        folder = folder.rpartition("/")[0]


def _known(position: int, reason: str) -> Target:
    return Target("known", 1 << position, position, reason)


def _required(package: PackageTable, required: RequiredVersion, pins: Mapping[str, str]) -> Target | None:
    if required.specifier is None:
        return None
    bits = allowed_bits(package, required.specifier)
    if bits is None:
        return None
    exact = [clause.version for clause in SpecifierSet(required.specifier) if clause.operator in ("==", "===")]
    if not bits:
        # A pinned release candidate, or a release that was taken back: its neighbor has the same names.
        position = package.position(exact[0]) if exact else None
        return None if position is None else _known(position, f"{required.location} pins {package.name} {exact[0]}")
    if not required.is_newest:
        bits = bits & bits_with(package, pins) or bits
    newest = bits.bit_length() - 1
    if exact and bits == 1 << newest:
        return _known(newest, f"{required.location} pins {package.name} {package.releases[newest]}")
    wanted = f"{package.name}{required.specifier}"
    reason = f"{required.location} asks for {wanted}, which allows {package.releases[newest]}"
    return Target("allowed", bits, newest, reason)


def allowed_bits(package: PackageTable, specifier: str) -> int | None:
    """Return the known releases that a specifier allows; ``None``: it is not a valid one."""
    try:
        wanted = SpecifierSet(specifier)
    except InvalidSpecifier:
        return None
    return sum(1 << position for position, version in enumerate(package.versions) if wanted.contains(version))


def judge(existence: int, target: Target, package: PackageTable) -> Judgement | None:
    """Return what is missing; ``None``: the release that an installer takes has it."""
    if existence >> target.newest & 1:
        return None
    is_certain = target.certainty != "unnamed" and not existence & target.bits
    return Judgement(is_certain, package.releases[target.newest], target.reason, target.doubt)


def described(existence: int, position: int, package: PackageTable) -> str:
    """Return when something went, or came, as seen from a release that lacks it: ``4.57.6 is the last …``."""
    older = existence & ((1 << position) - 1)
    newer = existence >> (position + 1)
    if newer:
        # A name that came back is described by the release that has it again.
        first = position + 1 + (newer & -newer).bit_length() - 1
        return f"{package.releases[first]} is the first release with it"
    if older:
        last = older.bit_length() - 1
        return f"{package.releases[last + 1]} removed it"
    return "no release that was read has it"


def since(existence: int, position: int, package: PackageTable) -> str:
    """Return since when something is refused, as seen from a release that refuses it; empty: every older one does."""
    older = existence & ((1 << position) - 1)
    return f" (since {package.releases[older.bit_length()]})" if older else ""


def ranges(existence: int, package: PackageTable, joint: Literal["and", "or"] = "and") -> str:
    """Return releases in words: ``4.28.0 to 4.57.6``, ``4.45.2 and older, 4.47.0 and 4.48.0``.

    With "or" as the joint for a text that says what to install.
    """
    parts: list[str] = []
    position, count = 0, len(package.releases)
    while position < count:
        if existence >> position & 1:
            start = position
            while position + 1 < count and existence >> (position + 1) & 1:
                position += 1
            parts.append(_range_text(start, position, package, joint))
        position += 1
    return f" {joint} ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def _range_text(start: int, stop: int, package: PackageTable, joint: str) -> str:
    first, last = package.releases[start], package.releases[stop]
    if start == stop:
        return first
    if stop == len(package.releases) - 1:
        return f"{first} {joint} newer"
    return f"{last} {joint} older" if start == 0 else f"{first} to {last}"


def nearest_releases(bits: int, position: int, package: PackageTable) -> str:
    """Return the releases in ``bits`` around the one nearest to ``position``, as a specifier; empty: there are none.

    A few releases between others are passed over if there are more elsewhere: a defect of theirs may be why it works.
    """
    regions = list(_regions(bits, len(package.releases)))
    large = [region for region in regions if region[1] - region[0] + 1 >= _FEWEST_RELEASES] or regions
    if not large:
        return ""
    first, last = min(large, key=lambda region: min(abs(region[0] - position), abs(region[1] - position)))
    lower = f">={package.releases[first]}" if first else ""
    upper = f"<={package.releases[last]}" if last < len(package.releases) - 1 else ""
    return ",".join(part for part in (lower, upper) if part)


def _regions(bits: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last position of each row of releases in ``bits``."""
    start: int | None = None
    for place in range(count + 1):
        is_set = place < count and bool(bits >> place & 1)
        if is_set and start is None:
            start = place
        elif not is_set and start is not None:
            yield start, place - 1
            start = None
