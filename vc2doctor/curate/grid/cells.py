"""What is to be measured: a cell, and what else a user would ask the resolver for."""

from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import ValidationError

from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.matrix.evidence import Cell, EvidenceLine
from vc2doctor.matrix.types import RequirementText

STACK_PACKAGES = ("python", "torch", "transformers", "peft")


class AskedError(DoctorError):
    """A cell that was asked for cannot be understood."""


class CellSpec(Data):
    """One cell to build, and the requirements beside its three packages."""

    cell: Cell
    extras: tuple[RequirementText, ...] = ()

    @property
    def requirements(self) -> tuple[str, ...]:
        """What is handed to the resolver."""
        return (*(f"{axis}=={getattr(self.cell, axis)}" for axis in STACK_PACKAGES[1:]), *self.extras)

    @property
    def name(self) -> str:
        """Its name in the evidence, and on a terminal."""
        told = [f"{axis}-{getattr(self.cell, axis)}" for axis in STACK_PACKAGES]
        return " ".join([*told, *self.extras])

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two of them the same measurement: local parts of versions do not count."""
        versions = (Version(getattr(self.cell, axis)).public for axis in STACK_PACKAGES[1:])
        return (self.cell.python, *versions, *sorted(self.extras))


def key_of(line: EvidenceLine) -> tuple[str, ...]:
    """Return the key of what was asked for when ``line`` was measured."""
    return CellSpec(cell=line.cell, extras=line.asked).key


def parse(text: str) -> CellSpec:
    """Return the cell of a line such as ``python=3.11 torch=2.13.0 transformers=4.40.1 peft=0.10.0 numpy<2``.

    Raises:
        AskedError: an axis is missing, or a word is no requirement.
    """
    axes: dict[str, str] = {}
    extras = []
    for word in text.split():
        name, _, version = word.replace("==", "=").partition("=")
        if canonicalize_name(name) in STACK_PACKAGES:
            axes[canonicalize_name(name)] = version
        else:
            extras.append(word)
    try:
        return CellSpec(cell=Cell.model_validate(axes), extras=tuple(extras))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        message = f"{text!r} is not a cell such as 'python=3.11 torch=2.13.0 transformers=4.40.1 peft=0.10.0': {faults}"
        raise AskedError(message) from error


def read(path: Path) -> list[CellSpec]:
    """Return the cells of a file: one a line, ``#`` begins a remark.

    Raises:
        AskedError: a line is not a cell; the message names it.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                found.append(parse(text))
            except AskedError as error:
                message = f"{path}:{number}: {error}"
                raise AskedError(message) from error
    return found
