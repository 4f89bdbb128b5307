"""Settings from ``[tool.vc2doctor]`` of a pyproject.toml: which file is read, and which of its keys count.

A file in or above the working directory may belong to a checkout that the user has not reviewed. So its keys may make a
gate stricter and say what the project trains in. They may not choose what is executed, what is used as knowledge, or
what is written. Those keys count only in a file that the user passes (``--config``) or trusts (``--trust-settings``).
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError

from vc2doctor.checks.plan import Accepted
from vc2doctor.checks.policy import Entries, PolicyEntry
from vc2doctor.commands import recipe_names
from vc2doctor.core import discovery, parsing, reading
from vc2doctor.core.data import Data, OwnData
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.similar import ID_LIKENESS, did_you_mean, similar
from vc2doctor.findings import Severity
from vc2doctor.linter.settings import AppliedSettings, LintSettings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_SAFE_KEYS = frozenset({"profile", "precision", "learning_rate", "require", "timeout", "fail_on"})
"""Keys that count in every file. The verdict line names the file if it sets one of the first two. ``fail_on`` cannot
make a gate weaker, because its default is the highest severity."""
_SAFE_LINT_KEYS = frozenset({"select", "extend_select", "ignore", "per_file_ignores"})
"""The same for ``[tool.vc2doctor.lint]``, for ``lint``. The report counts what these keys silence."""
_SPELLED_OTHERWISE = frozenset({"lint", "require"})
"""Keys that are no field of a request, or one with another name."""
_TABLE = "vc2doctor"
_TABLE_LIKENESS = 0.85
"""How alike the name of another table must be to count as a mistake: one or two wrong letters."""
_PATH_KEYS = ("python", "matrix", "output", "code", "baseline")
"""Keys whose values are paths relative to the file."""
MAX_BYTES = 1024 * 1024
"""Of a settings file; the longest pyproject.toml of published projects have about 50 kB."""
_MAX_QUOTED_CHARACTERS = 60
"""Of a wrong value in an error message."""
_REASONS = {
    "string_pattern_mismatch": "must be auto, cpu or cuda:N",
    "dict_type": "must be a table",
    "model_type": "must be a table",
}
"""Faults that pydantic words for programmers, by its type. Only ``device`` has a pattern."""

Request = TypeVar("Request", bound=Data)


class SettingsError(DoctorError):
    """A settings file cannot be used."""


_DEVICE = re.compile(r"auto|cpu|cuda:[0-9]{1,3}")
_ENTRY = '{ severity = "off", reason = "why", expires = 2027-03-31 }'
_ENTRY_KEY = re.compile(r"""\s*(?:\[?\s*(?:tool\.vc2doctor\.)?policy\.)?["']?(VC\d{3})\b""")
_DATE = re.compile(r"=\s*(\d{4}-\d{1,2}-\d{1,2})\b")


def _device_named(name: str) -> str:
    if _DEVICE.fullmatch(name):
        return name
    message = f"must be auto, cpu or cuda:N, not {name[:_MAX_QUOTED_CHARACTERS]!r}"
    raise ValueError(message)


def _checked_policy(entries: object) -> object:
    """Return the table of a policy as it is; its ids are known, and each entry is a table.

    Raises:
        ValueError: there is no check or rule of an id, or an entry is no table.
    """
    if not isinstance(entries, Mapping):
        return entries
    package = Path(__file__).parents[1]
    names = discovery.numbered_module_names([str(package / "checks"), str(package / "linter" / "rules")])
    known = [discovery.id_of(name) for name in names]
    for code, entry in entries.items():
        if code not in known:
            name = str(code)[:_MAX_QUOTED_CHARACTERS]
            hint = did_you_mean(name, known, likeness=ID_LIKENESS) or f" Ids look like {known[0]}."
            message = f"there is no check or rule {name}.{hint}"
            raise ValueError(message)
        if not isinstance(entry, Mapping | PolicyEntry):
            message = f"an entry has a severity, a reason and a last day. Write it so: {code} = {_ENTRY}"
            raise ValueError(message)  # noqa: TRY004 - pydantic makes a message of a ValueError only
    return entries


class Settings(Data):
    """The options of ``vc2doctor check``, with their names on the command line."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))

    python: Path | None = None
    """An interpreter, or the folder of a venv."""
    profile: str | None = None
    precision: Annotated[str, AfterValidator(recipe_names.checked)] | None = None
    learning_rate: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    device: Annotated[str, AfterValidator(_device_named)] | None = None
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
    baseline: Path | None = None
    """A file with the findings that do not count."""
    accept: Accepted | None = None
    policy: Annotated[Entries, BeforeValidator(_checked_policy)] = Field(default_factory=dict)
    """``[tool.vc2doctor.policy]``: what the team decided about findings, by id."""
    entry: str | None = None
    """``module:function``, for ``probe``."""
    lint: LintSettings | None = None
    """``[tool.vc2doctor.lint]``; these are not options of ``check``."""


class SettingsSource(OwnData):
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


class LoadedSettings(OwnData):
    """The settings that count, and what the report says about their file."""

    # Most projects have no settings. Their defaults need no validators, which take long to build.
    settings: Settings = Settings.model_construct()
    """Only the keys that count are set."""
    lint: LintSettings = LintSettings.model_construct()
    applied: AppliedSettings | None = None
    """``None``: there is no file with settings."""

    def complete(self, request: Request, explicit: frozenset[str]) -> Request:
        """Return ``request`` with the settings for all fields that are not in ``explicit``."""
        values: dict[str, object] = {
            name: getattr(self.settings, name) for name in self.settings.model_fields_set - _SPELLED_OTHERWISE
        }
        if self.settings.require is not None:
            values["require_gpu"] = True
        if self.settings.python is not None:
            values["python"] = str(self.settings.python)
        open_fields = type(request).model_fields.keys() - explicit
        return request.model_copy(update={name: value for name, value in values.items() if name in open_fields})


def load(
    folder: Path,
    source: SettingsSource = SettingsSource(),  # noqa: B008 - frozen
    *,
    is_gate: bool = False,
) -> LoadedSettings:
    """Return the settings that count for a command that works in ``folder``.

    For a gate, a file that the user neither passed nor trusts cannot switch off rules of the linter: a repository must
    not silence its own gate.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or a key or value is wrong.
    """
    path = None if source.isolated else source.config or nearest_file(folder)
    if path is None:
        return LoadedSettings()
    tables = _tables(path)
    settings = _read(path, tables.get(_TABLE))
    if settings is None:
        misspelled = tuple(f"tool.{name}" for name in similar(_TABLE, tables, likeness=_TABLE_LIKENESS))
        return LoadedSettings(applied=AppliedSettings(file=str(path), misspelled=misspelled) if misspelled else None)
    keys, lint = settings.model_fields_set - {"lint", "policy"}, settings.lint or LintSettings()
    # A file that the user neither passed nor trusts may make a gate stricter, and never weaker.
    policy = {code: each for code, each in settings.policy.items() if source.is_trusted or each.only_raises}
    lint_keys = lint.model_fields_set
    if source.is_trusted:
        applied_keys, applied_lint_keys = keys, lint_keys
    else:
        applied_keys = keys & _SAFE_KEYS
        applied_lint_keys = set() if is_gate else lint_keys & _SAFE_LINT_KEYS
    return LoadedSettings(
        settings=Settings.model_construct(
            {*applied_keys, *(("policy",) if policy else ())},
            policy=policy,
            **{key: getattr(settings, key) for key in applied_keys},
        ),
        lint=LintSettings(**{key: getattr(lint, key) for key in applied_lint_keys}),
        applied=AppliedSettings(
            file=str(path),
            is_above=not source.is_trusted and path.parent != folder.resolve(),
            policy_lines=_lines_of(policy, reading.text_or_empty(path, MAX_BYTES)) if policy else {},
            applied=(*_names_in_file(applied_keys, applied_lint_keys), *_names_of_entries(policy)),
            ignored=(
                *_names_in_file(keys - applied_keys, lint_keys - applied_lint_keys),
                *_names_of_entries(code for code in settings.policy if code not in policy),
            ),
        ),
    )


def _lines_of(codes: Iterable[str], text: str) -> dict[str, int]:
    """Return the line on which each entry of the policy begins, as a key or as a table of its own."""
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _ENTRY_KEY.match(line)
        if match is not None:
            lines.setdefault(match[1], number)
    return {code: lines[code] for code in codes if code in lines}


def _names_in_file(keys: Iterable[str], lint_keys: Iterable[str]) -> tuple[str, ...]:
    names = [*sorted(keys), *(f"lint.{name}" for name in sorted(lint_keys))]
    return tuple(name.replace("_", "-") for name in names)


def _names_of_entries(codes: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"policy.{code}" for code in codes)


def nearest_file(folder: Path) -> Path | None:
    """Return the pyproject.toml in ``folder`` or in the nearest folder above it that has one."""
    folder = folder.resolve()
    candidates = (parent / "pyproject.toml" for parent in (folder, *folder.parents))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _tables(path: Path) -> Mapping[str, Any]:
    """Return the tables below ``tool`` of a file.

    Raises:
        SettingsError: the file cannot be read, or is not TOML.
    """
    try:
        tables = parsing.parse_toml(reading.read_text(path, MAX_BYTES)).get("tool", {})
    except reading.ReadError as error:
        raise SettingsError(str(error)) from error
    except parsing.MalformedError as error:
        message = f"{path}: cannot be read: {error}{_wrong_date(reading.text_or_empty(path, MAX_BYTES))}"
        raise SettingsError(message) from error
    if not isinstance(tables, Mapping):
        message = f"{path}: cannot be read: tool is no table"
        raise SettingsError(message)
    return tables


def _read(path: Path, table: object) -> Settings | None:
    """Return the settings of the table ``[tool.vc2doctor]`` of a file; ``None``: it has no such table.

    Raises:
        SettingsError: it is no table, or a key or value is wrong.
    """
    if table is None:
        return None
    if not isinstance(table, Mapping):
        message = f"{path}: cannot be read: tool.{_TABLE} is no table"
        raise SettingsError(message)
    try:
        resolved = {key: str(path.parent / table[key]) for key in _PATH_KEYS if isinstance(table.get(key), str)}
        return Settings.model_validate({**table, **resolved})
    except ValidationError as error:
        message = f"{path}: [tool.vc2doctor] {_describe(error.errors()[0])}"
        raise SettingsError(message) from error


def _wrong_date(text: str) -> str:
    """Return which value of a file that is not TOML looks like a date and is none; empty if there is no such value."""
    wrong = next((value for value in _DATE.findall(text) if not _is_date(value)), None)
    return "" if wrong is None else f". {wrong} is not a date: write year-month-day, such as 2027-03-31"


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _describe(error: "ErrorDetails") -> str:
    """Return a validation error in words: which key is unknown, or why its value is wrong."""
    # pydantic adds "[key]" if the key itself is wrong, and not its value.
    key = ".".join(str(part) for part in error["loc"] if part != "[key]")
    if error["type"] == "missing":
        return f"{key}: this key is missing"
    if error["type"] == "extra_forbidden":
        near = similar(key, _known_keys(), 1)
        return f"unknown setting {key!r}." + (f" Did you mean {near[0]!r}?" if near else "")
    if error["type"] == "value_error":
        return f"{key}: {error['ctx']['error']}"
    reason = _REASONS.get(error["type"])
    if reason is None:
        reason = error["msg"].replace("Input should be", "must be").partition(", unable to")[0]
    return f"{key}: {reason}, not {str(error['input'])[:_MAX_QUOTED_CHARACTERS]!r}"


def _known_keys() -> list[str]:
    keys = [field.alias or name for name, field in Settings.model_fields.items()]
    return [*keys, *(f"lint.{field.alias or name}" for name, field in LintSettings.model_fields.items())]
