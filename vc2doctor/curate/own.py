"""A matrix of the user's own: a copy of the shipped one, which the user's measurements are added to."""

import shutil
from pathlib import Path

from vc2doctor.curate.grid.cells import CellSpec
from vc2doctor.curate.grid.measure import outstanding
from vc2doctor.matrix import load
from vc2doctor.matrix.errors import MatrixError

EVIDENCE = Path("evidence/own.jsonl")
"""The file of the user's measurements, in the folder of the matrix. The shipped matrix has no file of this name."""


def make(folder: Path) -> bool:
    """Copy the shipped matrix to ``folder`` if there is no matrix yet; return whether it was copied.

    Raises:
        MatrixError: the folder exists and holds something else.
        OSError: it cannot be written.
    """
    if load.is_matrix(folder):
        return False
    if folder.exists() and any(folder.iterdir()):
        message = f"{folder}: this folder holds something else than a matrix. Name another folder, or an empty one."
        raise MatrixError(message)
    shutil.copytree(load.shipped(), folder, dirs_exist_ok=True)
    return True


def unmeasured(specs: list[CellSpec], folder: Path) -> list[CellSpec]:
    """Return the cells that neither the shipped matrix nor the one in ``folder`` has measured, each once.

    Raises:
        MatrixError: a line of evidence is not a measured cell.
    """
    known = load.evidence(folder if load.is_matrix(folder) else load.shipped())
    return outstanding(specs, known)
