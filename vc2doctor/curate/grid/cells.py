"""Specify the cells to measure: the cell, and the requirements that a user would add."""

from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import ValidationError

from vc2doctor.core import reading
from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.matrix.evidence import Cell, EvidenceLine, pins
from vc2doctor.matrix.load import describe_faults
from vc2doctor.matrix.types import RequirementText

CELL_AXES = ("python", *STACK_PACKAGES)
_EXAMPLE = "python=3.11 torch=2.13.0 transformers=4.40.1 peft=0.10.0"


class CellSpecError(DoctorError):
    """A text does not specify a cell."""


class CellSpec(Data):
    """A cell to build, and the requirements beside its three packages."""

    cell: Cell
    extras: tuple[RequirementText, ...] = ()

    @property
    def requirements(self) -> tuple[str, ...]:
        """The requirements that the resolver gets."""
        return (*(f"{package}=={getattr(self.cell, package)}" for package in STACK_PACKAGES), *self.extras)

    @property
    def pinned(self) -> dict[str, str]:
        """The exact versions that are asked for, by distribution; local parts (``+cpu``) are left out."""
        return {name: Version(text).public for name, text in pins(self.requirements).items()}

    @property
    def name(self) -> str:
        """The name in the evidence and on a terminal."""
        return " ".join([*(f"{axis}-{getattr(self.cell, axis)}" for axis in CELL_AXES), *self.extras])

    @property
    def line(self) -> str:
        """The line that ``parse`` reads as this specification."""
        axes = (f"{axis}={getattr(self.cell, axis)}" for axis in CELL_AXES)
        return " ".join((*axes, *self.extras))

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for two specifications of the same measurement; local parts of versions (``+cpu``) do not count."""
        versions = (Version(getattr(self.cell, package)).public for package in STACK_PACKAGES)
        return (self.cell.python, *versions, *sorted(self.extras))


def key_of(line: EvidenceLine) -> tuple[str, ...]:
    """Return the key of the specification by which ``line`` was measured."""
    return CellSpec(cell=line.cell, extras=line.asked).key


def parse(text: str) -> CellSpec:
    """Return the specification of a line such as ``python=3.11 torch=2.13.0 transformers=4.40.1 peft=0.10.0 numpy<2``.

    Raises:
        CellSpecError: an axis is missing, or a word is not a requirement.
    """
    axes: dict[str, str] = {}
    extras = []
    for word in text.split():
        name, _, version = word.replace("==", "=").partition("=")
        if canonicalize_name(name) in CELL_AXES:
            axes[canonicalize_name(name)] = version
        else:
            extras.append(word)
    try:
        return CellSpec(cell=Cell.model_validate(axes), extras=tuple(extras))
    except ValidationError as error:
        message = f"{text!r} is not a cell such as {_EXAMPLE!r}: {'; '.join(describe_faults(error))}"
        raise CellSpecError(message) from error


def read(path: Path) -> list[CellSpec]:
    """Return the cells of a file: one a line, and ``#`` begins a comment.

    Raises:
        CellSpecError: a line is not a cell; the message gives its number.
        ReadError: the file cannot be read.
    """
    specs = []
    for number, line in enumerate(reading.read_text(path).splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                specs.append(parse(text))
            except CellSpecError as error:
                message = f"{path}:{number}: {error}"
                raise CellSpecError(message) from error
    return specs
