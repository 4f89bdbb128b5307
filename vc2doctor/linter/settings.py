"""Settings of the linter, and which of them came from a settings file."""

from collections.abc import Mapping

from pydantic import ConfigDict, Field

from vc2doctor.core.data import Data


class LintSettings(Data):
    """``[tool.vc2doctor.lint]``: which rules run, and where their findings are suppressed."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True)

    select: tuple[str, ...] | None = None
    """Rule ids or prefixes of ids; ``None``: all rules."""
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Path pattern → ids: ``{"legacy/*" = ["VC101"]}``."""
    exclude: tuple[str, ...] = ()
    """Patterns of paths that are not read."""


class AppliedSettings(Data):
    """A settings file, with the keys that were applied and the keys that were ignored."""

    file: str
    applied: tuple[str, ...] = ()
    """Keys that were applied, as the file spells them; keys of ``[tool.vc2doctor.lint]`` start with ``lint.``."""
    is_above: bool = False
    """Whether the file was found in a folder above the one that was asked for, so that the user may not know of it."""
    ignored: tuple[str, ...] = ()
    """Keys that were ignored because the file was discovered and not named by the user: see VC021."""
    policy_lines: Mapping[str, int] = Field(default_factory=dict)
    """The lines of the entries of the policy, by the id that they are about."""
    misspelled: tuple[str, ...] = ()
    """Tables of a file without ``[tool.vc2doctor]`` whose names are nearly that one: nothing reads them."""

    @property
    def description(self) -> str:
        """The file, and where it was found."""
        return f"{self.file}, in a folder above," if self.is_above else self.file

    def chose(self, *keys: str) -> tuple[str, ...]:
        """Return the keys, among ``keys``, whose values came from the file."""
        return tuple(key for key in keys if key in self.applied)
