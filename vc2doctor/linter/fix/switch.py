"""Switches the programs of a project to another precision: each completely, or not at all with the reasons.

The target is bfloat16; or float16 with loss scaling, for a GPU without bfloat16.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from vc2doctor.findings import Severity
from vc2doctor.linter.fix.dead_options import dead_options
from vc2doctor.linter.fix.edited import EditedTexts, by_file
from vc2doctor.linter.fix.programs import Program, programs_of
from vc2doctor.linter.fix.remaining import tokens_of
from vc2doctor.linter.fix.tokens.token import Token
from vc2doctor.linter.fix.view import ProjectView
from vc2doctor.linter.model import CodeFinding, Edit, ProgramFix, RemainingFloat16
from vc2doctor.linter.run import LintResult, LintTask, apply_rules

MAX_ROUNDS = 6
"""How often the project is edited and linted again. An edit can uncover places that only the next round can fix."""
_BY_HAND = "no edit is known for this place. Change it by hand."


@dataclass
class _Candidate:
    """A program that computes in float16, and what is known of its switch."""

    program: Program
    reasons: list[str] = field(default_factory=list)
    remaining: list[RemainingFloat16] = field(default_factory=list)


class Switch:
    """The switch of all programs below the paths of a task."""

    def __init__(self, task: LintTask, result: LintResult) -> None:
        self._task = task
        self._before = result
        self.after = result
        """What the linter finds in the edited texts."""
        self.edited = EditedTexts(result.facts.code.files.root)
        view = ProjectView(task, result, {})
        self._original_lines = _lines_of(view.float16_places)
        self._candidates: list[_Candidate] = []
        self._idle: list[Program] = []
        for program in programs_of(view):
            if _computes_in_float16(view, program):
                self._candidates.append(_Candidate(program))
            else:
                self._idle.append(program)
        self._failed: dict[str, str] = {}
        """The files that could not be edited, with the reason."""

    def run(self) -> tuple[ProgramFix, ...]:
        """Edit and lint in rounds until nothing is left to edit, and return what became of each program.

        Afterwards ``edited`` holds the files of the complete programs only.
        """
        for _ in range(MAX_ROUNDS if self._candidates else 0):
            view = ProjectView(self._task, self.after, self.edited.texts)
            edits = by_file(edit for candidate in self._candidates for edit in _edits(view, candidate.program))
            edits = {name: each for name, each in edits.items() if name not in self._failed}
            if not edits:
                break
            failed = {name: self.edited.try_to_apply(name, each) for name, each in edits.items()}
            self._failed |= {name: reason for name, reason in failed.items() if reason is not None}
            self.after = apply_rules(self._task, self.edited.texts)
        self._judge()
        self._refuse_sharing()
        self._drop_refused()
        return tuple(self._outcomes())

    def _judge(self) -> None:
        view = ProjectView(self._task, self.after, self.edited.texts)
        for candidate in self._candidates:
            tokens = tokens_of(view, candidate.program)
            candidate.reasons += [reason for name, reason in self._failed.items() if name in candidate.program.files]
            candidate.reasons += [
                f"{token.location}: {token.code + ': ' if token.code else ''}{token.refuses or _BY_HAND}"
                for token in tokens
                if token.edits or token.refuses is not None
            ]
            candidate.reasons += self._of_rules(view, candidate.program, tokens)
            candidate.remaining += [
                RemainingFloat16(path=token.path, line=token.line, code=token.code, reason=token.stays)
                for token in tokens
                if token.stays is not None
            ]

    def _of_rules(self, view: ProjectView, program: Program, tokens: list[Token]) -> Iterator[str]:
        """Yield the places that are float16 for the rules, and for which the judge has no reason of its own."""
        if view.target != "bf16":
            return
        known = {(token.path, token.line) for token in tokens if token.stays is None}
        for finding in view.result.findings:
            is_float16 = finding.cause == "float16" and finding.severity is not Severity.NOTE
            if is_float16 and finding.file in program.files and (finding.path, finding.line) not in known:
                line = self._original_lines.get((finding.id, finding.path, finding.message), finding.line)
                detail = f" ({finding.evidence[0]})" if finding.evidence else ""
                yield f"{finding.path}:{line}: {finding.message}{detail}"

    def _refuse_sharing(self) -> None:
        """Refuse the programs that would edit a file which a refused program reaches: that one would be half-made."""
        changed = set(self.edited.changed())
        while True:
            refused = [candidate for candidate in self._candidates if candidate.reasons]
            spoiled = [
                (candidate, other, shared)
                for candidate in self._candidates
                if not candidate.reasons
                for other in refused
                if (shared := sorted(candidate.program.files & other.program.files & changed))
            ]
            if not spoiled:
                return
            for candidate, other, shared in spoiled:
                candidate.reasons.append(
                    f"{', '.join(shared)}: shared with {other.program.name}, which cannot be switched completely."
                )

    def _drop_refused(self) -> None:
        kept = {name for candidate in self._candidates if not candidate.reasons for name in candidate.program.files}
        if set(self.edited.changed()) <= kept:
            return
        self.edited.keep_only(kept)
        self.after = apply_rules(self._task, self.edited.texts) if self.edited.texts else self._before

    def refuse(self, names: Iterable[str], reason: str) -> None:
        """Refuse every program that edits one of these files."""
        unwritable = set(names)
        for candidate in self._candidates:
            shared = sorted(unwritable & candidate.program.files)
            candidate.reasons += [f"{name}: {reason}" for name in shared]
        self._refuse_sharing()
        self._drop_refused()

    def outcomes(self) -> tuple[ProgramFix, ...]:
        """Return what became of each program."""
        return tuple(self._outcomes())

    def _outcomes(self) -> Iterator[ProgramFix]:
        changed = set(self.edited.changed())
        for candidate in self._candidates:
            reasons = tuple(dict.fromkeys(candidate.reasons))
            yield ProgramFix(
                name=candidate.program.name,
                outcome="refused" if reasons else "fixed",
                files=() if reasons else tuple(sorted(changed & candidate.program.files)),
                reasons=reasons,
                remaining=tuple(dict.fromkeys(candidate.remaining)),
            )
        for program in self._idle:
            yield ProgramFix(name=program.name, outcome="nothing to do")

    def cautions(self) -> Iterator[str]:
        """Yield the options that lost their reader, and code outside of the programs that is float16 itself.

        The latter counts if it uses a changed file.
        """
        changed = set(self.edited.changed())
        before, view = ProjectView(self._task, self._before, {}), ProjectView(self._task, self.after, self.edited.texts)
        switched = [each.program for each in self._candidates if not each.reasons and changed & each.program.files]
        yield from dict.fromkeys(text for program in switched for text in dead_options(before, view, program))
        reached = {name for candidate in self._candidates for name in candidate.program.files}
        reached |= {name for program in self._idle for name in program.files}
        for name in sorted(view.python_names - reached) if changed and view.target == "bf16" else ():
            text = view.text(name)
            if ("float16" in text.replace("bfloat16", "") or ".half()" in text) and changed & view.imports.closure(
                name
            ).files:
                yield f"{name}: uses code that is bfloat16 now, and is float16 itself. It was not changed."


def _lines_of(findings: Iterable[CodeFinding]) -> dict[tuple[str, str | None, str], int | None]:
    """Return the lines of findings before the edits: a refused change is not written, so they are those on disk."""
    lines: dict[tuple[str, str | None, str], int | None] = {}
    for finding in findings:
        lines.setdefault((finding.id, finding.path, finding.message), finding.line)
    return lines


def _computes_in_float16(view: ProjectView, program: Program) -> bool:
    if any(token.is_float16 for token in tokens_of(view, program)):
        return True
    return view.target == "bf16" and any(
        place.file in program.files and (place.bf16_edits or place.severity is not Severity.NOTE)
        for place in view.float16_places
    )


def _edits(view: ProjectView, program: Program) -> Iterator[Edit]:
    """Yield the edits of a program. Where a rule has an edit for a statement, it comes before those of the tokens."""
    places = view.float16_places if view.target == "bf16" else ()
    ruled = [
        edit
        for place in places
        for edit in place.bf16_edits
        if edit.path in program.files and not edit.path.endswith(".ipynb")
    ]
    yield from ruled
    for token in tokens_of(view, program):
        if not any(_overlaps(edit, other) for edit in token.edits for other in ruled):
            yield from token.edits


def _overlaps(edit: Edit, other: Edit) -> bool:
    """Return whether two edits touch the same lines; equal ones are applied once, and so do no harm."""
    if edit == other or edit.path != other.path or "comment" in edit.kind or "comment" in other.kind:
        return False
    return edit.line <= other.end_line and other.line <= edit.end_line
