"""Which architectures transformers has, and since which release: ``matrices/architectures.json``."""

from typing import Literal

from packaging.version import InvalidVersion, Version
from pydantic import ConfigDict, Field

from vc2doctor.core.data import Data


class Architectures(Data):
    """The model types that releases of transformers know."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal[1] = Field(default=1, alias="schema")
    oldest: str = ""
    """The oldest release that was read. A model type that it has may be older."""
    newest: str = ""
    """The newest release that was read."""
    first: dict[str, str] = Field(default_factory=dict)
    """Model type → the first release that was read and has it."""
    classes: dict[str, str] = Field(default_factory=dict)
    """Class of a language model (``Qwen2ForCausalLM``) → its model type."""

    def first_release(self, model_type: str) -> str | None:
        """Return the release that added ``model_type``; ``None``: unknown, or older than what was read."""
        release = self.first.get(model_type)
        return None if release == self.oldest else release

    def lacks(self, transformers: str, model_type: str) -> bool:
        """Return whether the release ``transformers`` is known to lack ``model_type``."""
        first = self.first_release(model_type)
        try:
            return first is not None and Version(transformers) < Version(first)
        except InvalidVersion:
            return False
