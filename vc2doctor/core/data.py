"""The base class of all facts, matrix entries and reports."""

from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict
from typing_extensions import Self

DataT = TypeVar("DataT", bound="Data")


class Data(BaseModel):
    """Immutable data that accepts declared fields only."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other values; properties that were computed from the old ones are computed again."""
        copy = super().model_copy(update=update, deep=deep)
        # pydantic copies the whole __dict__, in which cached_property keeps its results.
        for name in copy.__dict__.keys() - type(self).model_fields.keys():
            del copy.__dict__[name]
        return copy


class OwnData(Data):
    """Data that only the doctor's own code makes, such as reports and plans.

    The type checker has compared the values with the fields, so the constructor does not. To build the validators of
    all these classes would take a tenth of a check by versions. ``model_validate`` does validate what is read.
    """

    def __init__(self, **fields: Any) -> None:  # noqa: ANN401 - mypy knows the fields of each class
        made = self.model_construct(**fields)
        for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
            object.__setattr__(self, name, getattr(made, name))

    # Tells pydantic that this is no constructor of a subclass: `model_validate` would hand it the values unchecked.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


def with_texts(data: DataT, change: Callable[[str], str]) -> DataT:
    """Return a copy of ``data`` in which every text, at any depth, is what ``change`` returns for it."""
    fields = type(data).model_fields
    changed = {name: _changed(getattr(data, name), change) for name in fields}
    # Data of an unknown kind has no fields, and all of its texts here.
    extra = {name: _changed(value, change) for name, value in (data.model_extra or {}).items()}
    return data.model_copy(update={**changed, **extra})


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
