"""The compute capabilities of NVIDIA's GPUs by name: ``matrices/gpus.json``."""

import re
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError

from vc2doctor.core import reading
from vc2doctor.core.data import Data
from vc2doctor.matrix.errors import MatrixError

_BRANDS = re.compile(r"\b(nvidia|tesla|geforce|quadro)\b|[^a-z0-9]", re.IGNORECASE)
"""What people leave out of the name of a GPU: brands, spaces and hyphens."""


class GpuTable(Data):
    """GPUs by name. Source: https://developer.nvidia.com/cuda-gpus."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal[1] = Field(default=1, alias="schema")
    source: str
    capabilities: dict[str, str]
    """Name of a GPU (``RTX 3090``) → compute capability (``8.6``)."""

    def capability(self, name: str) -> tuple[int, int] | None:
        """Return the compute capability of a GPU; ``None``: the table does not have it.

        Brands, spaces and hyphens do not count, and neither does what follows a data center name: ``NVIDIA
        A100-SXM4-80GB`` is the A100.
        """
        known = {_short(each): value for each, value in self.capabilities.items()}
        first = re.split(r"[-\s]", re.sub(r"\b(nvidia|tesla)\b", "", name, flags=re.IGNORECASE).strip())[0]
        value = known.get(_short(name)) or known.get(_short(first))
        if value is None:
            return None
        major, _, minor = value.partition(".")
        return int(major), int(minor)


def _short(name: str) -> str:
    return _BRANDS.sub("", name).lower()


def load_gpus(folder: Path) -> GpuTable:
    """Return the table of GPUs in a matrix folder.

    Raises:
        MatrixError: the folder has no such table.
    """
    path = folder / "gpus.json"
    try:
        return GpuTable.model_validate_json(reading.read_bytes(path))
    except (reading.ReadError, ValidationError) as error:
        message = f"{path}: the file does not hold a table of GPUs; take the one that comes with the doctor"
        raise MatrixError(message) from error
