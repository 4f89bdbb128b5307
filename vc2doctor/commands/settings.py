"""Settings from ``[tool.vc2doctor]`` of a pyproject.toml: which file is read, and which of its keys count.

A file in or above the working directory may belong to a checkout that the user has not reviewed. So its keys may make a
gate stricter and say what the project trains in. They may not choose what is executed, what is used as knowledge, or
what is written. Those keys count only in a file that the user passes (``--config``) or trusts (``--trust-settings``).
"""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from vc2doctor.core import parsing, reading
from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.findings import Severity
from vc2doctor.linter.settings import AppliedSettings, LintSettings
from vc2doctor.target.shared.recipes import recipe_named

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_SAFE_KEYS = frozenset({"profile", "precision", "require", "timeout", "fail_on"})
"""Keys that count in every file. The verdict line names the file if it sets one of the first two. ``fail_on`` cannot
make a gate weaker, because its default is the highest severity."""
_SAFE_LINT_KEYS = frozenset({"select", "extend_select", "ignore", "per_file_ignores"})
"""The same for ``[tool.vc2doctor.lint]``. The report counts what these keys silence."""
_PATH_KEYS = ("python", "matrix", "output", "code")
"""Keys whose values are paths relative to the file."""
MAX_BYTES = 1024 * 1024
"""Of a settings file; the longest pyproject.toml of published projects have about 50 kB."""
_MAX_QUOTED_CHARACTERS = 60
"""Of a wrong value in an error message."""

Request = TypeVar("Request", bound=Data)


class SettingsError(DoctorError):
    """A settings file cannot be used."""


class Settings(Data):
    """The options of ``vc2doctor check``, with their names on the command line."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))

    python: Path | None = None
    """An interpreter, or the folder of a venv."""
    profile: str | None = None
    precision: Annotated[str, AfterValidator(recipe_named)] | None = None
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda:[0-9]{1,3})$")] | None = None
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    require: Literal["gpu"] | None = None
    probe: bool | None = None
    fail_on: Severity | None = None
    matrix: Path | None = None
    """The folder of a matrix."""
    format: str | None = None
    output: Path | None = None
    code: Path | None = None
    """A folder of training code."""
    entry: str | None = None
    """``module:function``, for ``probe``."""
    lint: LintSettings | None = None
    """``[tool.vc2doctor.lint]``; these are not options of ``check``."""


class SettingsSource(Data):
    """Which settings file is read: the options of the command line that decide it."""

    config: Path | None = None
    """The file of ``--config``; ``None``: the nearest pyproject.toml."""
    trust: bool = False
    """``--trust-settings``: every key of the nearest file counts."""
    isolated: bool = False
    """``--isolated``: no file is read."""

    @property
    def is_trusted(self) -> bool:
        """Whether every key of the file counts."""
        return self.trust or self.config is not None


class LoadedSettings(Data):
    """The settings that count, and what the report says about their file."""

    settings: Settings = Settings()
    """Only the keys that count are set."""
    lint: LintSettings = LintSettings()
    applied: AppliedSettings | None = None
    """``None``: there is no file with settings."""

    def complete(self, request: Request, explicit: frozenset[str]) -> Request:
        """Return ``request`` with the settings for all fields that are not in ``explicit``."""
        values: dict[str, object] = {
            name: getattr(self.settings, name) for name in self.settings.model_fields_set - {"lint", "require"}
        }
        if self.settings.require is not None:
            values["require_gpu"] = True
        if self.settings.python is not None:
            values["python"] = str(self.settings.python)
        open_fields = type(request).model_fields.keys() - explicit
        return request.model_copy(update={name: value for name, value in values.items() if name in open_fields})


def load(folder: Path, source: SettingsSource = SettingsSource()) -> LoadedSettings:  # noqa: B008 - frozen
    """Return the settings that count for a command that works in ``folder``.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or a key or value is wrong.
    """
    path = None if source.isolated else source.config or _nearest_file(folder)
    settings = _read(path) if path is not None else None
    if path is None or settings is None:
        return LoadedSettings()
    keys, lint = settings.model_fields_set - {"lint"}, settings.lint or LintSettings()
    lint_keys = lint.model_fields_set
    if source.is_trusted:
        applied_keys, applied_lint_keys = keys, lint_keys
    else:
        applied_keys, applied_lint_keys = keys & _SAFE_KEYS, lint_keys & _SAFE_LINT_KEYS
    return LoadedSettings(
        settings=Settings.model_construct(applied_keys, **{key: getattr(settings, key) for key in applied_keys}),
        lint=LintSettings(**{key: getattr(lint, key) for key in applied_lint_keys}),
        applied=AppliedSettings(
            file=str(path),
            is_above=not source.is_trusted and path.parent != folder.resolve(),
            applied=_names_in_file(applied_keys, applied_lint_keys),
            ignored=_names_in_file(keys - applied_keys, lint_keys - applied_lint_keys),
        ),
    )


def _names_in_file(keys: Iterable[str], lint_keys: Iterable[str]) -> tuple[str, ...]:
    names = [*sorted(keys), *(f"lint.{name}" for name in sorted(lint_keys))]
    return tuple(name.replace("_", "-") for name in names)


def _nearest_file(folder: Path) -> Path | None:
    folder = folder.resolve()
    candidates = (parent / "pyproject.toml" for parent in (folder, *folder.parents))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _read(path: Path) -> Settings | None:
    """Return the table ``[tool.vc2doctor]`` of a file, or ``None`` if it has none."""
    try:
        table = parsing.parse_toml(reading.read_text(path, MAX_BYTES)).get("tool", {}).get("vc2doctor")
        if table is None:
            return None
        resolved = {key: str(path.parent / table[key]) for key in _PATH_KEYS if isinstance(table.get(key), str)}
        return Settings.model_validate({**table, **resolved})
    except ValidationError as error:
        message = f"{path}: [tool.vc2doctor] {_describe(error.errors()[0])}"
        raise SettingsError(message) from error
    except reading.ReadError as error:
        raise SettingsError(str(error)) from error
    except (parsing.MalformedError, AttributeError) as error:
        message = f"{path}: cannot be read: {error}"
        raise SettingsError(message) from error


def _describe(error: "ErrorDetails") -> str:
    """Return a validation error in words: which key is unknown, or why its value is wrong."""
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        similar = difflib.get_close_matches(key, _known_keys(), n=1)
        return f"unknown setting {key!r}." + (f" Did you mean {similar[0]!r}?" if similar else "")
    if error["type"] == "value_error":
        return f"{key}: {error['ctx']['error']}"
    if error["type"] == "string_pattern_mismatch":
        reason = "must be auto, cpu or cuda:N"
    else:
        reason = error["msg"].replace("Input should be", "must be").partition(", unable to")[0]
    return f"{key}: {reason}, not {str(error['input'])[:_MAX_QUOTED_CHARACTERS]!r}"


def _known_keys() -> list[str]:
    keys = [field.alias or name for name, field in Settings.model_fields.items()]
    return [*keys, *(f"lint.{field.alias or name}" for name, field in LintSettings.model_fields.items())]
