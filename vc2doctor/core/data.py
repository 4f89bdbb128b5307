"""The base class of all facts, matrix entries and reports."""

from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

DataT = TypeVar("DataT", bound="Data")


class Data(BaseModel):
    """Immutable data that accepts declared fields only."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def with_texts(data: DataT, change: Callable[[str], str]) -> DataT:
    """Return a copy of ``data`` in which every text, at any depth, is what ``change`` returns for it."""
    fields = type(data).model_fields
    copy = data.model_copy(update={name: _changed(getattr(data, name), change) for name in fields})
    # Properties that were computed from the old texts are computed again.
    for name in copy.__dict__.keys() - fields.keys():
        del copy.__dict__[name]
    return copy


def _changed(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401, PLR0911 - the value of any field
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Path):
        return Path(change(str(value)))
    if isinstance(value, Data):
        return with_texts(value, change)
    if isinstance(value, Mapping):
        return {_changed(key, change): _changed(entry, change) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_changed(entry, change) for entry in value)
    return value
