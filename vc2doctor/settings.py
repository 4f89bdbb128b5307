"""Settings from ``[tool.vc2doctor]`` of a pyproject.toml: which file is read, and which of its keys count.

A file that was only found (in the working directory or above it) may belong to a checkout that nobody has reviewed.
So it may make a gate stricter and say what the project trains in, but it cannot choose what is executed, read as
knowledge, or written. Those keys count in a file that the user named (``--config``) or trusts (``--trust-settings``).
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from vc2doctor.data import Data
from vc2doctor.errors import DoctorError
from vc2doctor.findings import AppliedSettings, Severity
from vc2doctor.lint.silence import LintSettings
from vc2doctor.probe.worker.recipes import ALIASES, RECIPES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SAFE = frozenset({"profile", "precision", "require", "timeout", "fail_on"})
"""Keys that count in a file that was only found. The first two are named in the verdict line."""
_SAFE_LINT = frozenset({"select", "extend_select", "ignore", "per_file_ignores"})
"""The same for ``[tool.vc2doctor.lint]``; what they silence is counted in the report."""
_DEFAULT_FAIL_ON = Severity.ERROR


class SettingsError(DoctorError):
    """A settings file cannot be used."""


def _precision(value: str) -> str:
    if value not in (*RECIPES, *ALIASES):
        message = f"{value!r} is not one of {', '.join((*RECIPES, *ALIASES))}"
        raise ValueError(message)
    return value


class Settings(Data):
    """The options of ``vc2doctor check``, under the names they have on the command line."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))

    python: str | None = None
    """An interpreter, or the folder of an environment, relative to the file."""
    profile: str | None = None
    precision: Annotated[str, AfterValidator(_precision)] | None = None
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] | None = None
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    require: Literal["gpu"] | None = None
    probe: bool | None = None
    fail_on: Literal["note", "warning", "error"] | None = None
    matrix: str | None = None
    """A folder, relative to the file."""
    format: Literal["text", "json"] | None = None
    output: str | None = None
    """A file, relative to the file of settings."""
    code: str | None = None
    """A folder of training code, relative to the file."""
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

    options: dict[str, Any] = Field(default_factory=dict)
    """Values by the names of the command's parameters."""
    lint: LintSettings = LintSettings()
    applied: AppliedSettings | None = None
    """``None``: no file with settings."""


def load(folder: Path, source: SettingsSource = SettingsSource()) -> LoadedSettings:  # noqa: B008 - frozen
    """Return the settings that count for a command that works in ``folder``.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or a key or value is wrong.
    """
    path = None if source.isolated else source.config or _nearest(folder)
    settings = _read(path) if path is not None else None
    if path is None or settings is None:
        return LoadedSettings()
    given = settings.model_dump(exclude_none=True, exclude={"lint"})
    for name in ("matrix", "output", "code", "python"):
        if name in given:
            given[name] = str(path.parent / given[name])
    lint = settings.lint or LintSettings()
    given_lint = lint.model_fields_set
    if source.is_trusted:
        applied = AppliedSettings(file=str(path), applied=_keys(given, given_lint))
        return LoadedSettings(options=given, lint=lint, applied=applied)
    safe = {name: value for name, value in given.items() if name in _SAFE and not _weakens(name, value)}
    return LoadedSettings(
        options=safe,
        lint=LintSettings(**{name: getattr(lint, name) for name in given_lint & _SAFE_LINT}),
        applied=AppliedSettings(
            file=str(path),
            applied=_keys(safe, given_lint & _SAFE_LINT),
            ignored=_keys(given.keys() - safe.keys(), given_lint - _SAFE_LINT),
        ),
    )


def _weakens(name: str, value: object) -> bool:
    return name == "fail_on" and Severity(value).rank > _DEFAULT_FAIL_ON.rank


def _keys(options: Iterable[str], lint: Iterable[str]) -> tuple[str, ...]:
    """Return the keys as the file spells them."""
    names = [*sorted(options), *(f"lint.{name}" for name in sorted(lint))]
    return tuple(name.replace("_", "-") for name in names)


def _nearest(folder: Path) -> Path | None:
    folder = folder.resolve()
    candidates = (parent / "pyproject.toml" for parent in (folder, *folder.parents))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _read(path: Path) -> Settings | None:
    """Return the table of a file, or ``None`` where it has none."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("vc2doctor")
        return None if table is None else Settings.model_validate(table)
    except ValidationError as error:
        fault = error.errors()[0]
        message = f"{path}: [tool.vc2doctor] {'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
        raise SettingsError(message) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError) as error:
        message = f"{path}: cannot be read: {error}"
        raise SettingsError(message) from error
