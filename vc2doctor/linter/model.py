"""What the linter ends in: findings about places in code, gathered into one diagnosis a cause."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.findings import Finding, Severity
from vc2doctor.linter.settings import AppliedSettings


class LintError(DoctorError):
    """A path, a rule id or a setting of the linter cannot be used."""


class FixError(DoctorError):
    """A change cannot be made; nothing was written."""


Role = Literal["helper", "outer", "weights", "cast", "region", "scaler", "config", "launch", "other"]
"""What a place does for the precision of a project, the deciding first."""


ROLES: tuple[Role, ...] = ("helper", "weights", "outer", "region", "cast", "scaler", "config", "launch", "other")


class CodePlace(Data):
    """Lines of a file, relative to the root that was linted."""

    path: str
    line: int
    end_line: int

    @property
    def location(self) -> str:
        """``path:line``, as editors and terminals open it."""
        return f"{self.path}:{self.line}"


class Edit(Data):
    """One change of a file; several make a transaction."""

    path: str
    line: int
    column: int
    """In bytes of UTF-8, as ``ast`` counts."""
    end_line: int
    end_column: int
    kind: Literal["replace", "keyword", "first", "unimport", "after", "line", "recomment"]
    text: str
    name: str | None = None
    """Of the keyword, or of what is no longer imported."""


class CodeFinding(Finding):
    """A finding about code: where, and what it means for the whole."""

    end_line: int | None = None
    also: tuple[CodePlace, ...] = ()
    """Further places with the same fault: copies of one template, or call sites."""
    role: Role = "other"
    cause: Literal["float16"] | None = None
    """The finding is one place of a project that trains in float16."""
    if_missed: str | None = None
    """What happens when every other place of its cause is changed, and this one is not."""

    bf16: tuple[Edit, ...] = Field(default=(), exclude=True)
    """What makes this place bfloat16, as part of the whole change."""
    safe: tuple[Edit, ...] = Field(default=(), exclude=True)
    """What mends it without changing what is computed, or what was meant."""
    unsafe: tuple[Edit, ...] = Field(default=(), exclude=True)
    """What mends it and changes what is computed."""

    @property
    def file(self) -> str:
        """The file it stands in; ``path`` may name a cell of a notebook."""
        return (self.path or "").partition("#")[0]

    @property
    def places(self) -> tuple[CodePlace, ...]:
        """All places of the finding, its own first."""
        line = self.line or 1
        return (CodePlace(path=self.path or "", line=line, end_line=self.end_line or line), *self.also)


class Diagnosis(Data):
    """Findings of one cause, the deciding place first."""

    unit: str
    """The folder whose code it is about, ``""``: the whole."""
    title: str
    places: tuple[CodeFinding, ...]

    @property
    def severity(self) -> Severity:
        """That of its heaviest place."""
        return max((place.severity for place in self.places), key=lambda severity: severity.rank)


def undiagnosed(findings: Iterable[CodeFinding], diagnoses: Iterable[Diagnosis]) -> list[CodeFinding]:
    """Return the findings that are no place of a diagnosis."""
    told = {(place.path, place.line, place.id) for diagnosis in diagnoses for place in diagnosis.places}
    return [finding for finding in findings if (finding.path, finding.line, finding.id) not in told]


class FileChange(Data):
    """A file that a fix changes."""

    path: str
    edits: int
    diff: str
    """Unified, of this file alone."""


class FixResult(Data):
    """What a fix did, or would do."""

    written: bool
    files: tuple[FileChange, ...]
    refused: tuple[str, ...]
    """Why the change cannot be complete; then nothing is written."""
    cautions: tuple[str, ...]
    """What to look at by hand afterwards."""


class LintPlan(Data):
    """What was asked."""

    paths: tuple[str, ...]
    precision: str | None
    fail_on: Literal["note", "warning", "error"]


class LintReport(Data):
    """What the linter says of a project."""

    schema_: Literal[2] = Field(default=2, alias="schema")
    doctor: str
    verdict: Literal["clean", "findings"]
    exit_code: int
    root: str
    """What the paths are relative to, as seen from where the doctor was started."""
    plan: LintPlan
    files: int
    """How many files were read."""
    diagnoses: tuple[Diagnosis, ...]
    findings: tuple[CodeFinding, ...]
    """All of them, those of a diagnosis too; the heaviest first, then by place."""
    silenced: int
    """How many places comments and per-file ignores silence."""
    switched_off: int
    """How many findings belong to rules that are not selected, or are ignored."""
    settings: AppliedSettings | None = None
    """The file of settings that was read; ``None``: none has any."""
    fix: FixResult | None = None
    """``None``: no fix was asked for."""
    seconds: float
