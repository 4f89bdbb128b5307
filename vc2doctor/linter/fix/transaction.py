"""Fixes a project in one transaction: collect the edits, apply them in memory, lint again, and only then write.

The linter itself checks the result: if a place is still float16 after the edits, the change is refused.
"""

import ast
import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from vc2doctor.core import writing
from vc2doctor.findings import Severity
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.fix.rewrite import rewrite
from vc2doctor.linter.model import CodeFinding, Edit, FileChange, FixError, FixResult, undiagnosed
from vc2doctor.linter.read.source import decode, encoding_of
from vc2doctor.linter.run import LintResult, LintTask, apply_rules

MAX_ROUNDS = 3
"""How often the project is edited and linted again. An edit can uncover places that only the next round can fix."""


def fix(task: LintTask, result: LintResult, *, unsafe: bool, write: bool) -> tuple[FixResult, LintResult]:
    """Fix the findings of ``result``, and return what changed with the findings that remain.

    If a change is refused, nothing changes, and the findings are those of ``result``. Files are written only if
    ``write`` is true.

    Raises:
        FixError: a file cannot be read, or its new text does not fit its encoding; nothing was written.
        OutputError: a file cannot be written; nothing was.
    """
    transaction = _Transaction(task, result, unsafe=unsafe)
    transaction.run()
    changed = transaction.changed()
    written = write and not transaction.refused and bool(changed)
    if written:
        _write(result.facts.code.files.root, changed)
    done = FixResult(
        written=written,
        files=transaction.file_changes(),
        refused=tuple(dict.fromkeys(transaction.refused)),
        cautions=transaction.cautions(),
    )
    return done, result if transaction.refused else transaction.after


class _Transaction:
    """The texts of a project after the edits, and the reasons why the whole change is refused, if any."""

    def __init__(self, task: LintTask, result: LintResult, *, unsafe: bool) -> None:
        self._task = task
        self._unsafe = unsafe
        self._before = result
        self._originals: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._edit_counts: dict[str, int] = defaultdict(int)
        self.after = result
        """What the linter finds in the edited texts."""
        self.refused: list[str] = []

    def run(self) -> None:
        """Edit and lint in rounds until there is nothing left to edit, then check that the change is complete."""
        changes_precision = self._task.precision is not None
        if changes_precision:
            self.refused += _unread_files(self._before)
        for _ in range(MAX_ROUNDS):
            edits = _edits(self._task, self.after, unsafe=self._unsafe)
            if not edits or self.refused:
                break
            for name, file_edits in edits.items():
                self._apply(name, file_edits)
            self.after = apply_rules(self._task, self._texts)
        if changes_precision and not self.refused:
            self.refused += _remaining(self._before, self.after)

    def _apply(self, name: str, edits: list[Edit]) -> None:
        if name.endswith(".ipynb"):
            self.refused.append(f"{name}: a notebook holds a place of this change; notebooks are not edited")
            return
        path = self._before.facts.code.files.root / name
        text = self._texts.get(name) or self._originals.setdefault(name, _read(path))
        try:
            self._texts[name] = rewrite(text, edits, is_python=name.endswith(".py"))
        except FixError as error:
            self.refused.append(str(error))
        self._edit_counts[name] += len(edits)

    def changed(self) -> dict[str, str]:
        """Return the new texts of the files that changed."""
        return {name: text for name, text in self._texts.items() if text != self._originals[name]}

    def file_changes(self) -> tuple[FileChange, ...]:
        """Return the change of each file, sorted by name."""
        return tuple(
            FileChange(path=name, edits=self._edit_counts[name], diff=_diff(name, self._originals[name], text))
            for name, text in sorted(self.changed().items())
        )

    def cautions(self) -> tuple[str, ...]:
        """Return what to check by hand after a change of the precision."""
        if self._task.precision is None or self.refused:
            return ()
        return tuple(dict.fromkeys(_numpy_calls(self.after, self.changed())))


def _edits(task: LintTask, result: LintResult, *, unsafe: bool) -> dict[str, list[Edit]]:
    """Return the edits by file.

    Edits of single findings leave notebooks out. A change of the precision includes them, so that it is refused.
    """
    edits = [
        edit
        for finding in result.findings
        for edit in (*finding.safe_edits, *(finding.unsafe_edits if unsafe else ()))
        if not edit.path.endswith(".ipynb")
    ]
    if task.precision == "bf16":
        edits += [edit for place in _float16_places(result) for edit in place.bf16_edits]
    by_file: dict[str, list[Edit]] = defaultdict(list)
    for edit in dict.fromkeys(edits):
        by_file[edit.path].append(edit)
    return by_file


def _float16_places(result: LintResult) -> Iterator[CodeFinding]:
    """Yield every place that makes the project float16: the places of diagnoses, and single findings."""
    for diagnosis in result.diagnoses:
        yield from diagnosis.places
    yield from (finding for finding in undiagnosed(result.findings, result.diagnoses) if finding.cause == "float16")


def _remaining(before: LintResult, after: LintResult) -> Iterator[str]:
    """Yield the places that are still float16 after the edits.

    The edits moved some lines, and a refused change is not written. So a place is described by the finding of the same
    id, file and message from before the edits, which has the line of the file on disk.
    """
    originals: dict[tuple[str, str | None, str], list[CodeFinding]] = defaultdict(list)
    for finding in before.findings:
        originals[finding.id, finding.path, finding.message].append(finding)
    for finding in after.findings:
        if finding.cause == "float16" and finding.severity is not Severity.NOTE:
            same = originals[finding.id, finding.path, finding.message]
            original = same.pop(0) if same else finding
            detail = f" ({original.evidence[0]})" if original.evidence else ""
            yield f"{original.path}:{original.line}: {original.message}{detail}"


def _unread_files(result: LintResult) -> Iterator[str]:
    """Yield the files of the changed units that could not be read: each can hold a float16 place."""
    units = {result.facts.code.folder_of(place.file) for place in _float16_places(result)}
    for file in result.facts.code.files.unread_files:
        is_in_unit = any(not unit or file.name.startswith(f"{unit}/") for unit in units)
        if is_in_unit and not is_inference_path(file.name) and file.name.endswith(".py"):
            yield f"{file.name}: not read ({file.reason}), so it is unknown whether the change is complete"


def _numpy_calls(after: LintResult, changed: Iterable[str]) -> Iterator[str]:
    """Yield the calls of ``.numpy()`` in the changed units. They fail on bfloat16 tensors: NumPy has no such dtype."""
    code = after.facts.code
    units = {code.files.folders.get(name) for name in changed}
    for module in code.files.modules.values():
        if code.files.folders[module.name] not in units or is_inference_path(module.name):
            continue
        for call in module.calls:
            if call.name == "numpy" and not call.node.args and ".float()" not in ast.unparse(call.node):
                location = f"{module.name}:{call.node.lineno}"
                yield f"{location}: .numpy() raises TypeError for a bfloat16 tensor: add .float() before it"


def _read(path: Path) -> str:
    try:
        return decode(path.read_bytes())
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or error}"
        raise FixError(message) from error


def _diff(name: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _write(root: Path, texts: dict[str, str]) -> None:
    """Write all files or none, each in its own encoding."""
    contents: dict[Path, bytes] = {}
    for name, text in texts.items():
        path = (root / name).resolve()
        try:
            contents[path] = text.encode(encoding_of(path.read_bytes()))
        except (OSError, UnicodeEncodeError) as error:
            message = f"{path}: cannot be written: {error}"
            raise FixError(message) from error
    writing.replace_all(contents)
