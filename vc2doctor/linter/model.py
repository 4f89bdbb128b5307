"""The results of the linter: findings about places in code, grouped into one diagnosis per cause."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.invocation import Invocation
from vc2doctor.findings import Finding, Severity, WaivedFinding
from vc2doctor.linter.settings import AppliedSettings


class LintError(DoctorError):
    """A path, a rule id or a setting of the linter cannot be used."""


class FixError(DoctorError):
    """A change cannot be made; nothing was written."""


Role = Literal["helper", "outer", "weights", "cast", "region", "scaler", "config", "launch", "other"]
"""What a place does for the precision of a project."""

ROLES: tuple[Role, ...] = ("helper", "weights", "outer", "region", "cast", "scaler", "config", "launch", "other")
"""The order of places in a diagnosis: the place that decides most of the computation comes first."""


class CodePlace(Data):
    """Lines of a file. The path is relative to the root that was linted."""

    path: str
    line: int
    end_line: int

    @property
    def location(self) -> str:
        """``path:line``, as editors and terminals open it."""
        return f"{self.path}:{self.line}"


EditKind = Literal[
    "replace-expression",
    "set-keyword",
    "rename-keyword",
    "rename-attribute",
    "prepend-argument",
    "remove-import",
    "insert-line",
    "replace-in-line",
    "replace-span",
    "replace-in-comments",
    "add-comment",
]


class Edit(Data):
    """One change of a file. The edits of a fix are applied together or not at all."""

    path: str
    line: int
    column: int
    """In bytes of UTF-8, as ``ast`` counts."""
    end_line: int
    end_column: int
    kind: EditKind
    text: str
    """The new text."""
    name: str | None = None
    """The keyword that is set or renamed, or the imported name that is removed."""
    old: str | None = None
    """The text that is replaced within a line or within comments."""


class Replacement(Data):
    """A part of a file, and the text that a fix puts in its place. Lines and columns count from 1."""

    path: str
    line: int
    column: int
    """In characters."""
    end_line: int
    end_column: int
    """The first column behind the part."""
    text: str


FindingKey = tuple[str | None, int | None, str]
"""What a finding and its place in a diagnosis have in common: path, line and id."""


class CodeFinding(Finding):
    """A finding about code, with its places and the edits that fix it."""

    end_line: int | None = None
    also: tuple[CodePlace, ...] = ()
    """Further places with the same fault: copies of one template, or call sites."""
    role: Role = "other"
    cause: Literal["float16"] | None = None
    """``float16``: the place is one of those that make a project train in float16."""
    if_missed: str | None = None
    """What happens if every other place of the cause is changed and this place is not."""

    bf16_edits: tuple[Edit, ...] = Field(default=(), exclude=True)
    """Edits that switch this place to bfloat16. They are correct only together with the edits of the other places."""
    safe_edits: tuple[Edit, ...] = Field(default=(), exclude=True)
    """Edits that fix the place and keep the results of a run."""
    unsafe_edits: tuple[Edit, ...] = Field(default=(), exclude=True)
    """Edits that fix the place and change the results of a run."""
    replacements: tuple[Replacement, ...] = Field(default=(), exclude=True)
    """What ``safe_edits`` change, as text; empty unless somebody asked for it."""

    @property
    def file(self) -> str:
        """The file of the finding. ``path`` can name a cell of a notebook (``train.ipynb#cell3``)."""
        return (self.path or "").partition("#")[0]

    @property
    def places(self) -> tuple[CodePlace, ...]:
        """All places of the finding, the main place first."""
        line = self.line or 1
        return (CodePlace(path=self.path or "", line=line, end_line=self.end_line or line), *self.also)

    @property
    def key(self) -> FindingKey:
        """What this finding and its place in a diagnosis have in common."""
        return self.path, self.line, self.id


class Diagnosis(Data):
    """The findings of one cause, the deciding place first."""

    unit: str
    """The folder of the code, relative to the root; ``""`` is the root."""
    title: str
    places: tuple[CodeFinding, ...]

    @property
    def severity(self) -> Severity:
        """The highest severity of its places."""
        return max((place.severity for place in self.places), key=lambda severity: severity.rank)


def undiagnosed(findings: Iterable[CodeFinding], diagnoses: Iterable[Diagnosis]) -> list[CodeFinding]:
    """Return the findings that belong to no diagnosis."""
    diagnosed = {place.key for diagnosis in diagnoses for place in diagnosis.places}
    return [finding for finding in findings if finding.key not in diagnosed]


class Totals(Data):
    """How many diagnoses there are, and how many findings that belong to none of them, by severity.

    Every format prints each diagnosis and each of these findings once.
    """

    diagnoses: int
    errors: int
    warnings: int
    notes: int


def totals(findings: Iterable[CodeFinding], diagnoses: tuple[Diagnosis, ...]) -> Totals:
    """Return how many diagnoses and single findings a report has."""
    numbers = Counter(finding.severity for finding in undiagnosed(findings, diagnoses))
    return Totals(
        diagnoses=len(diagnoses),
        errors=numbers[Severity.ERROR],
        warnings=numbers[Severity.WARNING],
        notes=numbers[Severity.NOTE],
    )


class FileChange(Data):
    """A file that a fix changes."""

    path: str
    edits: int
    """How many edits were applied."""
    diff: str
    """The change of this file as a unified diff."""


class RemainingFloat16(Data):
    """A mention of float16 that a program keeps after the change, because it does not compute in float16 there."""

    path: str
    line: int
    code: str
    reason: str


class ProgramFix(Data):
    """What became of one program: an entry point with its imports, its launch script and its configurations."""

    name: str
    """``train.py``, or ``train.py (scripts/run.sh)`` if a script starts it."""
    outcome: Literal["fixed", "refused", "nothing to do"]
    """``fixed``: the change is complete; whether it was written is in ``FixResult.written``."""
    files: tuple[str, ...] = ()
    """The files that the change of this program edits."""
    reasons: tuple[str, ...] = ()
    """Why it was refused: the places that have to be changed by hand, and how."""
    remaining: tuple[RemainingFloat16, ...] = ()
    """The mentions of float16 that stay, each with the reason."""


class FixResult(Data):
    """What a fix changed, or would change."""

    written: bool
    files: tuple[FileChange, ...]
    refused: tuple[str, ...]
    """The reasons why a change would be incomplete. The files of a refused program are not written; other programs are
    fixed if they share no edited file with it."""
    cautions: tuple[str, ...]
    """Places to check by hand after the change."""
    programs: tuple[ProgramFix, ...] = ()
    """The programs that a change of the precision was tried on; empty for other fixes."""
    undo: str | None = None
    """How to undo what was written."""


class LintPlan(Data):
    """What the user asked the linter to do."""

    paths: tuple[str, ...]
    precision: str | None
    fail_on: Literal["note", "warning", "error"]
    invocation: Invocation = Invocation(verb="lint")
    """How the doctor was started: the commands that the report prints are built from this."""


class FileCounts(Data):
    """How many files of each kind were read."""

    python: int = 0
    notebooks: int = 0
    configurations: int = 0
    scripts: int = 0
    documents: int = 0
    """Documents that show commands: a README with the command that starts training."""


class Program(Data):
    """What starts training: a module that is run, a command of a launch script, or a launcher's configuration."""

    kind: Literal["module", "launch", "configuration"]
    path: str
    line: int | None = None


class LeftOutFiles(Data):
    """A folder or file below the paths of the user that was not read."""

    path: str
    reason: str
    """The end of a sentence that begins with the path: ``is a copy of transformers 4.51.0``."""
    files: int
    """How many Python files and notebooks are in it."""


class NotUnderstood(Data):
    """A place that says something about training, and that the linter cannot read or resolve."""

    kind: Literal["file", "dtype", "launcher", "program"]
    path: str
    line: int | None = None
    message: str


class Coverage(Data):
    """What was read, and what was not understood. Nothing in a report is said of the rest."""

    files: FileCounts
    rules: tuple[str, ...]
    """The ids of the rules that ran."""
    programs: tuple[Program, ...]
    left_out: tuple[LeftOutFiles, ...]
    not_understood: tuple[NotUnderstood, ...]
    not_judged: tuple[str, ...]
    """Why a report without findings says nothing about this code, in sentences; empty: the code was judged."""


class LintReport(Data):
    """What the linter found in a project."""

    schema_: Literal[2] = Field(default=2, alias="schema")
    doctor: str
    verdict: Literal["clean", "findings", "not-judged"]
    """``clean``: no rule fired on what ``coverage`` says was read. ``not-judged``: no rule ran, or nothing that trains
    was found, and there are at most notes; see ``coverage.not_judged``."""
    exit_code: int
    root: str
    """The folder that the paths are relative to, relative to the working directory."""
    plan: LintPlan
    files: int
    """How many files were read."""
    coverage: Coverage
    totals: Totals
    diagnoses: tuple[Diagnosis, ...]
    findings: tuple[CodeFinding, ...]
    """All findings, also those of the diagnoses. Sorted by severity, then by place."""
    waived: tuple[WaivedFinding, ...] = ()
    """What a policy or a baseline made lighter or silenced."""
    silenced: int
    """How many places are suppressed by comments and per-file ignores."""
    switched_off: int
    """How many findings belong to rules that are not selected or are ignored."""
    settings: AppliedSettings | None = None
    """The settings file that was read; ``None``: there is none."""
    fix: FixResult | None = None
    """``None``: no fix was requested."""
    seconds: float
