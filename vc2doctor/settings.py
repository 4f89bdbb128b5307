"""Settings from ``[tool.vc2doctor]`` in the nearest pyproject.toml.

``python`` is not among them: what a file found on the way names is never executed.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from vc2doctor.data import Data
from vc2doctor.errors import DoctorError
from vc2doctor.lint.silence import LintSettings
from vc2doctor.probe.worker.recipes import ALIASES, RECIPES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


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

    profile: str | None = None
    precision: Annotated[str, AfterValidator(_precision)] | None = None
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] | None = None
    timeout: float | None = Field(default=None, gt=0)
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
    lint: LintSettings | None = None
    """``[tool.vc2doctor.lint]``; not of ``check``."""


def read(folder: Path) -> dict[str, Any]:
    """Return the settings that hold in ``folder``, by the names of the command's parameters.

    Raises:
        SettingsError: the file is not TOML, or a key or value is wrong.
    """
    path, found = _read(folder)
    settings = found.model_dump(exclude_none=True, exclude={"lint"})
    for name in ("matrix", "output", "code"):
        if name in settings and path is not None:
            settings[name] = str(path.parent / settings[name])
    return settings


def read_lint(folder: Path) -> LintSettings:
    """Return the linter's settings that hold in ``folder``.

    Raises:
        SettingsError: the file is not TOML, or a key or value is wrong.
    """
    return _read(folder)[1].lint or LintSettings()


def _read(folder: Path) -> tuple[Path | None, Settings]:
    folder = folder.resolve()
    candidates = (parent / "pyproject.toml" for parent in (folder, *folder.parents))
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        return None, Settings()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("vc2doctor", {})
        return path, Settings.model_validate(table)
    except ValidationError as error:
        fault = error.errors()[0]
        message = f"{path}: [tool.vc2doctor] {'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
        raise SettingsError(message) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError) as error:
        message = f"{path}: cannot be read: {error}"
        raise SettingsError(message) from error
