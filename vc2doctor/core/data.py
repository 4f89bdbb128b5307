"""The base class of all facts, matrix entries and reports."""

from pydantic import BaseModel, ConfigDict


class Data(BaseModel):
    """Immutable data that accepts declared fields only."""

    model_config = ConfigDict(frozen=True, extra="forbid")
