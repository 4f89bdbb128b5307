"""What an installer refuses: versions that exclude each other by what they declare. Nothing is installed yet."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache

from vc2doctor.core.versions import STACK_PACKAGES, contains
from vc2doctor.matrix.releases import Release, Wheels


def refusals(named: Mapping[str, str], wheels: Wheels) -> Iterator[str]:
    """Yield why an installer refuses to install versions together; ``named`` may hold ``python``.

    These are the requirements of the known releases (``Requires-Dist``, ``Requires-Python``). The Pythons of
    the stack itself are left out, because constraints of the matrix cover them.
    """
    requires: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for package, text in named.items():
        release = wheels.release(package, text)
        if release is None:
            continue
        for dependency, wanted in release.requires.items():
            if dependency not in named:
                requires[dependency].append((f"{package} {text}", wanted))
            elif not contains(wanted, named[dependency]):
                found = named[dependency]
                yield f"{package} {text} requires {dependency} {wanted}, so an installer refuses {dependency} {found}"
        if "python" in named and package not in STACK_PACKAGES and not release.supports(named["python"]):
            yield _wrong_python(package, text, release, named["python"])
    for dependency, entries in requires.items():
        specifiers = {wanted for _, wanted in entries if wanted}
        if len(specifiers) > 1 and not _is_met_by_one(",".join(sorted(specifiers)), tuple(wheels.releases[dependency])):
            wishes = " and ".join(f"{wanted} ({requirer})" for requirer, wanted in entries if wanted)
            yield f"no release of {dependency} meets {wishes}, so an installer refuses the set"


@lru_cache(maxsize=4096)
def _is_met_by_one(specifier_text: str, releases: tuple[str, ...]) -> bool:
    return any(contains(specifier_text, text) for text in releases)


def _wrong_python(package: str, text: str, release: Release, python: str) -> str:
    if not release.allows(python):
        return f"{package} {text} requires Python {release.python}, and this is {python}"
    return f"{package} {text} has no wheel for Python {python}; it would have to be built from source"
