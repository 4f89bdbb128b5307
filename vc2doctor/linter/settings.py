"""Settings of the linter, and what the report says of the file that they come from."""

from collections.abc import Mapping

from pydantic import ConfigDict, Field

from vc2doctor.core.data import Data


class LintSettings(Data):
    """``[tool.vc2doctor.lint]``: which rules run, and where they are quiet."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True)

    select: tuple[str, ...] | None = None
    """Ids, or beginnings of ids; default: all."""
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Pattern of a path → ids: ``{"legacy/*" = ["VC101"]}``."""
    exclude: tuple[str, ...] = ()
    """Patterns of paths that are not read."""


class AppliedSettings(Data):
    """A file of settings, and what became of its keys."""

    file: str
    applied: tuple[str, ...] = ()
    """Keys that count, as the file spells them; those of ``[tool.vc2doctor.lint]`` begin with ``lint.``."""
    ignored: tuple[str, ...] = ()
    """Keys that do not count, because the file was found and not named: see VC021."""

    def chose(self, *keys: str) -> tuple[str, ...]:
        """Return those of ``keys`` that the file decided."""
        return tuple(key for key in keys if key in self.applied)
