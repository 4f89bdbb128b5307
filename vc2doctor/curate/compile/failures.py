"""How measured cells failed. Failures of one kind have the same signature, so that they can be looked at together."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.core.failure import Failure, Missing
from vc2doctor.curate.compile.boxes import Point, point_of
from vc2doctor.matrix.compiled import GPU
from vc2doctor.matrix.evidence import EvidenceLine

MESSAGE_PREFIX_LENGTH = 60
"""Characters of a message that distinguish failures. The rest is advice, and every release words it differently."""

_PACKAGES = ("torch", "transformers", "peft", "python", "numpy", "tokenizers", "huggingface-hub", "accelerate")
"""Packages that a failure can name, and ``python``."""
_DISTRIBUTIONS = {"pkg-resources": "setuptools"}
"""Distributions by module, if the two have different names."""
_BUILT_PACKAGE = re.compile(r"build `([^`]+)`")
_NO_GPU = re.compile(r"accelerator device when none is available|[Nn]o NVIDIA|CUDA.{0,20}not available")
_INSTALL_FAILURES = {
    "unsatisfiable": "no set of versions satisfies all requirements",
    "no-wheel": "a package has no wheel for this Python",
    "build-failed": "a package has no wheel for this Python and cannot be built",
}


class Signature(NamedTuple):
    """The kind of a failure."""

    stage: str
    """``install``, ``import``, ``train``, ``save``, or a recipe."""
    package: str
    """The package whose code failed."""
    what: str
    """The missing symbol, or the message without its numbers."""


class ObservedFailure(NamedTuple):
    """A failure of one measured cell."""

    line: EvidenceLine
    point: Point
    description: str
    involved: frozenset[str]
    """Packages that the failure names."""
    is_mutual: bool
    """Whether it is a fact about all of ``involved``: one of them lacks what another one needs."""
    absent: str | None = None
    """A distribution that is needed, not installed, and not declared by any package."""
    resolver_explains: bool = False
    """Whether a known constraint on a version that the resolver chose explains it."""


def passes(line: EvidenceLine, stage: str) -> bool:
    """Return whether a cell got past ``stage`` (``any``: past all of them)."""
    trained = line.recipes.get("fp32") == "finite"
    if stage == "install":
        return line.install == "installed"
    if stage == "import":
        return line.install == "installed" and line.import_failure is None
    if stage == "train":
        return trained
    if stage == "save":
        return line.adapter == "same"
    if stage == "any":
        return line.trains("fp32") is True
    return trained and line.recipes.get(stage) == "finite"


def failures_of(line: EvidenceLine) -> Iterator[tuple[Signature, ObservedFailure]]:
    """Yield the failures of a cell: the one that stopped it first, or those of single recipes and of the adapter."""
    if line.install != "installed":
        yield _install_failure(line)
    elif line.import_failure is not None:
        yield _exception("import", line, line.import_failure)
    elif line.recipes.get("fp32", "unsupported") not in ("finite", "unsupported"):
        yield _bad_outcome("train", "fp32", line)
    else:
        if line.adapter in ("error", "different"):
            failure = line.adapter_failure or Failure(type="Adapter", message=f"the reloaded model is {line.adapter}")
            yield _exception("save", line, failure)
        for recipe, outcome in line.recipes.items():
            if recipe != "fp32" and outcome not in ("finite", "unsupported"):
                yield _bad_outcome(recipe, recipe, line)


def _install_failure(line: EvidenceLine) -> tuple[Signature, ObservedFailure]:
    message = line.install_message or line.install
    involved = {name for name in _PACKAGES if re.search(rf"\b{name}\b", message)}
    built = _BUILT_PACKAGE.search(message)
    if line.install != "unsatisfiable":
        # A package is built only if it has no wheel for this Python, so Python is involved even if it is not named.
        involved.add("python")
    pinned = sorted(line.versions.keys() - line.cell.model_dump().keys())
    what = " ".join([line.install, *([built[1]] if built else []), *pinned])
    description = f"{_INSTALL_FAILURES[line.install]} ({message})"
    failure = ObservedFailure(line, point_of(line), description, frozenset(involved), is_mutual=True)
    return Signature("install", "", what), failure


def _bad_outcome(stage: str, recipe: str, line: EvidenceLine) -> tuple[Signature, ObservedFailure]:
    if recipe in line.failures:
        return _exception(stage, line, line.failures[recipe])
    outcome = line.recipes[recipe]
    failure = ObservedFailure(line, point_of(line), f"the outcome is {outcome}", frozenset(), is_mutual=False)
    return Signature(stage, "", outcome), failure


def _exception(stage: str, line: EvidenceLine, failure: Failure) -> tuple[Signature, ObservedFailure]:
    package = (failure.package or "").replace("_", "-")
    involved = {package}
    if failure.missing is not None:
        involved.add(failure.missing.module.partition(".")[0].replace("_", "-"))
        what = f"{failure.missing.module}:{failure.missing.symbol or ''}"
    else:
        message = " ".join(re.sub(r"[0-9]+", "#", failure.message).split())
        what = f"{failure.type}: {message[:MESSAGE_PREFIX_LENGTH]}"
    absent = GPU if _NO_GPU.search(failure.message) else _undeclared_distribution(failure.missing)
    if absent is not None and absent in line.resolved:
        # The distribution is installed, in a version that no longer has the module.
        involved.add(absent)
        absent = None
    if absent is not None:
        what = f"no {absent}"
    observed = ObservedFailure(
        line,
        point_of(line),
        description=f"{failure.type}: {' '.join(failure.message.split())}",
        involved=frozenset(name for name in involved if name in (*_PACKAGES, "setuptools")),
        is_mutual=failure.missing is not None and absent is None,
        absent=absent,
    )
    return Signature(stage, package, what), observed


def _undeclared_distribution(missing: Missing | None) -> str | None:
    """Return the distribution of a missing top-level module, unless it is one of the packages that are always there."""
    if missing is None or missing.symbol or "." in missing.module:
        return None
    name = missing.module.replace("_", "-").lower()
    return None if name in _PACKAGES else _DISTRIBUTIONS.get(name, name)


def is_present(name: str, line: EvidenceLine) -> bool:
    """Return whether a measured cell had the distribution ``name``, or a GPU if that is the name."""
    return line.device not in ("cpu", "none") if name == GPU else name in line.resolved
