"""The base of every fact, matrix entry and report: immutable, and nothing unnamed gets in."""

from pydantic import BaseModel, ConfigDict


class Data(BaseModel):
    """Immutable data with no field beyond those declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")
