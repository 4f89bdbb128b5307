"""Settings from ``[tool.vc2doctor]`` of a pyproject.toml: which file is read, and which of its keys count.

A file that was only found (in the working directory or above it) may belong to a checkout that nobody has reviewed.
So it may make a gate stricter and say what the project trains in, but it cannot choose what is executed, read as
knowledge, or written. Those keys count in a file that the user named (``--config``) or trusts (``--trust-settings``).
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.findings import Severity
from vc2doctor.linter.settings import AppliedSettings, LintSettings
from vc2doctor.target.shared.recipes import recipe_named

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SAFE = frozenset({"profile", "precision", "require", "timeout", "fail_on"})
"""Keys that count in a file that was only found. The first two are named in the verdict line."""
_SAFE_LINT = frozenset({"select", "extend_select", "ignore", "per_file_ignores"})
"""The same for ``[tool.vc2doctor.lint]``; what they silence is counted in the report."""
_PATHS = ("python", "matrix", "output", "code")
"""Keys whose values are relative to the file."""

Request = TypeVar("Request", bound=Data)


class SettingsError(DoctorError):
    """A settings file cannot be used."""


class Settings(Data):
    """The options of ``vc2doctor check``, under the names they have on the command line."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))

    python: Path | None = None
    """An interpreter, or the folder of an environment."""
    profile: str | None = None
    precision: Annotated[str, AfterValidator(recipe_named)] | None = None
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda:\d+)$")] | None = None
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    require: Literal["gpu"] | None = None
    probe: bool | None = None
    fail_on: Severity | None = None
    matrix: Path | None = None
    """A folder."""
    format: str | None = None
    output: Path | None = None
    code: Path | None = None
    """A folder of training code."""
    entry: str | None = None
    """``module:function``, for ``probe``."""
    lint: LintSettings | None = None
    """``[tool.vc2doctor.lint]``; not of ``check``."""


class SettingsSource(Data):
    """Where settings come from, as the command line says."""

    config: Path | None = None
    """The file that ``--config`` names; ``None``: the nearest pyproject.toml."""
    trust: bool = False
    """``--trust-settings``: every key of the file that is found counts."""
    isolated: bool = False
    """``--isolated``: no file is read."""

    @property
    def is_trusted(self) -> bool:
        """Whether every key counts."""
        return self.trust or self.config is not None


class LoadedSettings(Data):
    """The settings that count, and what the report says of their file."""

    settings: Settings = Settings()
    """Only the keys that count are set."""
    lint: LintSettings = LintSettings()
    applied: AppliedSettings | None = None
    """``None``: no file with settings."""

    def complete(self, request: Request, given: frozenset[str]) -> Request:
        """Return ``request`` with the settings for those of its fields that are not among ``given``."""
        offered: dict[str, object] = {
            name: getattr(self.settings, name) for name in self.settings.model_fields_set - {"lint", "require"}
        }
        if self.settings.require is not None:
            offered["require_gpu"] = True
        if self.settings.python is not None:
            offered["python"] = str(self.settings.python)
        fields = type(request).model_fields.keys() - given
        return request.model_copy(update={name: value for name, value in offered.items() if name in fields})


def load(folder: Path, source: SettingsSource = SettingsSource()) -> LoadedSettings:  # noqa: B008 - frozen
    """Return the settings that count for a command that works in ``folder``.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or a key or value is wrong.
    """
    path = None if source.isolated else source.config or _nearest(folder)
    settings = _read(path) if path is not None else None
    if path is None or settings is None:
        return LoadedSettings()
    keys, lint = settings.model_fields_set - {"lint"}, settings.lint or LintSettings()
    lint_keys = lint.model_fields_set
    count = keys if source.is_trusted else {key for key in keys & _SAFE if not _weakens(key, settings)}
    lint_count = lint_keys if source.is_trusted else lint_keys & _SAFE_LINT
    return LoadedSettings(
        settings=Settings.model_construct(count, **{key: getattr(settings, key) for key in count}),
        lint=LintSettings(**{key: getattr(lint, key) for key in lint_count}),
        applied=AppliedSettings(
            file=str(path),
            applied=_spelled(count, lint_count),
            ignored=_spelled(keys - count, lint_keys - lint_count),
        ),
    )


def _weakens(key: str, settings: Settings) -> bool:
    """Return whether a key makes a gate weaker than it is without settings."""
    return key == "fail_on" and settings.fail_on is not None and settings.fail_on.rank > Severity.ERROR.rank


def _spelled(keys: Iterable[str], lint_keys: Iterable[str]) -> tuple[str, ...]:
    """Return the keys as the file spells them."""
    names = [*sorted(keys), *(f"lint.{name}" for name in sorted(lint_keys))]
    return tuple(name.replace("_", "-") for name in names)


def _nearest(folder: Path) -> Path | None:
    folder = folder.resolve()
    candidates = (parent / "pyproject.toml" for parent in (folder, *folder.parents))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _read(path: Path) -> Settings | None:
    """Return the table of a file, or ``None`` where it has none."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("vc2doctor")
        if table is None:
            return None
        beside = {key: str(path.parent / table[key]) for key in _PATHS if isinstance(table.get(key), str)}
        return Settings.model_validate({**table, **beside})
    except ValidationError as error:
        fault = error.errors()[0]
        message = f"{path}: [tool.vc2doctor] {'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
        raise SettingsError(message) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError) as error:
        message = f"{path}: cannot be read: {error}"
        raise SettingsError(message) from error
