"""The content of the site of a matrix: every verdict with its reason, and all that the reasons refer to."""

from collections.abc import Callable, Sequence
from pathlib import Path

from vc2doctor.core.data import Data
from vc2doctor.core.versions import version
from vc2doctor.matrix import load
from vc2doctor.matrix.compiled import Constraint
from vc2doctor.matrix.errors import MatrixError
from vc2doctor.matrix.judge import Combination, Judgement, Verdict, judge
from vc2doctor.matrix.matrix import Matrix

LETTERS = {
    Verdict.VERIFIED: "v",
    Verdict.COMPATIBLE: "c",
    Verdict.INCOMPATIBLE: "i",
    Verdict.UNVERIFIED: "u",
}
"""One letter for each verdict: there are more than a hundred thousand of them."""


class SiteCell(Data):
    """A measured cell with its outcome."""

    name: str
    date: str
    device: str
    python: str
    torch: str
    transformers: str
    peft: str
    beside: dict[str, str]
    trains: tuple[str, ...]
    fails: dict[str, str]
    doors: dict[str, str]


class SiteIssue(Data):
    """A known issue."""

    id: str
    title: str
    severity: str
    when: tuple[dict[str, str], ...]
    doors: tuple[str, ...]
    explanation: str
    sources: tuple[str, ...]


class Reason(Data):
    """Why a verdict is what it is; many verdicts share one."""

    statements: tuple[int, ...]
    """Indexes into ``TorchVerdicts.statements``."""
    constraints: tuple[str, ...]
    issues: tuple[str, ...]


class TorchVerdicts(Data):
    """The verdicts on every known transformers and peft with one torch."""

    torch: str
    statements: tuple[str, ...]
    reasons: tuple[Reason, ...]
    verdicts: tuple[str, ...]
    """For each release of transformers one text, with a letter for each release of peft."""
    why: tuple[tuple[int, ...], ...]
    """The same with indexes into ``reasons``."""


class SiteIndex(Data):
    """What every page of the site needs."""

    recipe: str
    measured: str
    released: str
    torches: tuple[str, ...]
    transformers: tuple[str, ...]
    peft: tuple[str, ...]
    cells: tuple[SiteCell, ...]
    constraints: tuple[Constraint, ...]
    issues: tuple[SiteIssue, ...]


class Site(Data):
    """The whole content."""

    index: SiteIndex
    torches: tuple[TorchVerdicts, ...]


def site(
    torches: Sequence[str], recipe: str, folder: Path | None, on_progress: Callable[[str], None] = lambda _: None
) -> Site:
    """Return the content for ``torches`` (empty: every measured one), under ``recipe``.

    Raises:
        MatrixError: the matrix cannot be used, or a torch was not measured.
    """
    matrix = load.load(folder or load.shipped())
    unknown = [torch for torch in torches if torch not in matrix.verdicts.torches]
    if unknown:
        message = f"torch {unknown[0]} was not measured; there are {', '.join(matrix.verdicts.torches)}"
        raise MatrixError(message)
    chosen = tuple(torches) or matrix.verdicts.torches
    tables: list[TorchVerdicts] = []
    for torch in chosen:
        on_progress(f"judging torch {torch} ({len(tables) + 1} of {len(chosen)})")
        tables.append(_verdicts_of(matrix, torch, recipe))
    return Site(index=_index(matrix, chosen, recipe), torches=tuple(tables))


def _index(matrix: Matrix, torches: tuple[str, ...], recipe: str) -> SiteIndex:
    verdicts = matrix.verdicts
    return SiteIndex(
        recipe=recipe,
        measured=verdicts.measured,
        released=verdicts.released,
        torches=torches,
        transformers=_newest_first(verdicts.releases.get("transformers", ())),
        peft=_newest_first(verdicts.releases.get("peft", ())),
        cells=tuple(_cells(matrix, torches)),
        constraints=verdicts.constraints,
        issues=tuple(
            SiteIssue(
                id=issue.id,
                title=issue.title,
                severity=issue.severity,
                when=tuple(dict(when) for when in issue.when),
                doors=tuple(issue.doors),
                explanation=issue.explanation,
                sources=issue.sources,
            )
            for issue in matrix.issues
        ),
    )


def _cells(matrix: Matrix, torches: Sequence[str]) -> list[SiteCell]:
    outcomes = matrix.verdicts.outcomes
    wanted = {version(torch) for torch in torches}
    return [
        SiteCell(
            **cell.model_dump(include={"name", "date", "device", "python", "torch", "transformers", "peft"}),
            beside={**matrix.verdicts.companions[cell.companions], **cell.beside},
            trains=outcomes[cell.how].trains,
            fails=outcomes[cell.how].fails,
            doors=outcomes[cell.how].doors,
        )
        for cell in matrix.verdicts.cells
        if version(cell.torch) in wanted
    ]


def _newest_first(releases: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(releases, key=version, reverse=True))


class _Pool:
    """Statements and reasons, each kept once."""

    def __init__(self) -> None:
        self.statements: dict[str, int] = {}
        self.reasons: dict[Reason, int] = {}

    def index(self, judgement: Judgement) -> int:
        """Return the index of the reason of a judgement."""
        statements = judgement.reason.split("; ")
        reason = Reason(
            statements=tuple(self.statements.setdefault(text, len(self.statements)) for text in statements),
            constraints=judgement.constraints,
            issues=judgement.issues,
        )
        return self.reasons.setdefault(reason, len(self.reasons))


def _verdicts_of(matrix: Matrix, torch: str, recipe: str) -> TorchVerdicts:
    pool, verdicts, why = _Pool(), [], []
    pefts = _newest_first(matrix.verdicts.releases.get("peft", ()))
    for transformers in _newest_first(matrix.verdicts.releases.get("transformers", ())):
        stacks = [{"torch": torch, "transformers": transformers, "peft": peft} for peft in pefts]
        judged = [judge(Combination(python=None, versions=each, installed=False), matrix, recipe) for each in stacks]
        verdicts.append("".join(LETTERS[judgement.verdict] for judgement in judged))
        why.append(tuple(pool.index(judgement) for judgement in judged))
    return TorchVerdicts(
        torch=torch,
        statements=tuple(pool.statements),
        reasons=tuple(pool.reasons),
        verdicts=tuple(verdicts),
        why=tuple(why),
    )
