"""What an installer refuses: named versions that what they declare excludes. It concerns no installed environment."""

from collections.abc import Iterator, Mapping

from packaging.specifiers import SpecifierSet

from vc2doctor.core.versions import STACK_PACKAGES, contains, version
from vc2doctor.matrix.releases import Release, Wheels


def refusals(named: Mapping[str, str], wheels: Wheels) -> Iterator[str]:
    """Yield why an installer refuses to install versions together; ``named`` may hold ``python``.

    These are the requirements of the known releases (``Requires-Dist``, ``Requires-Python``). What the Pythons mean for
    the stack itself is a constraint of the matrix, and not told here.
    """
    for package, text in named.items():
        # The index lists 2.13.0, and not the local version 2.13.0+cpu.
        release = None if package == "python" else wheels.releases.get(package, {}).get(version(text).public)
        if release is None:
            continue
        for dependency, wanted in release.requires.items():
            if dependency in named and not contains(wanted, named[dependency]):
                found = named[dependency]
                yield f"{package} {text} requires {dependency} {wanted}, so an installer refuses {dependency} {found}"
        if "python" in named and package not in STACK_PACKAGES and not release.supports(named["python"]):
            yield _wrong_python(package, text, release, named["python"])


def _wrong_python(package: str, text: str, release: Release, python: str) -> str:
    # 3.8.99 stands for the newest patch release of Python 3.8: it matches >=3.8.1.
    if release.python and not SpecifierSet(release.python).contains(f"{python}.99"):
        return f"{package} {text} requires Python {release.python}, and this is {python}"
    return f"{package} {text} has no wheel for Python {python}; it would have to be built from source"
