"""Plans a fix as one transaction: gather the edits, make them in memory, lint again, and only then write.

What remains after the edits is why a change is refused: the linter's own eyes judge the result.
"""

import ast
import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from vc2doctor.core import writing
from vc2doctor.findings import Severity
from vc2doctor.linter.analyse.stage import infers_by_path
from vc2doctor.linter.fix.rewrite import rewrite
from vc2doctor.linter.model import CodeFinding, Edit, FileChange, FixError, FixResult, undiagnosed
from vc2doctor.linter.read.source import decode, encoding_of
from vc2doctor.linter.run import LintResult, LintTask, judge

_ROUNDS = 3
"""What the first edits uncover is mended in the next round; a fix that needs more is refused."""


def fix(request: LintTask, judged: LintResult, *, unsafe: bool, write: bool) -> tuple[FixResult, LintResult]:
    """Return what the fix does and what the linter says afterwards; files are written only if ``write``.

    Raises:
        FixError: a file cannot be read, or not be told in its encoding; then none was written.
        OutputError: a file cannot be written; then none was.
    """
    texts: dict[str, str] = {}
    originals: dict[str, str] = {}
    counts: dict[str, int] = defaultdict(int)
    after, refused = judged, list(_unreadable(request, judged))
    for _ in range(_ROUNDS):
        edits = _edits(request, after, unsafe=unsafe)
        if not edits or refused:
            break
        for name, mine in edits.items():
            if name.endswith(".ipynb"):
                refused.append(f"{name}: a notebook holds a place of this change; notebooks are not edited")
                continue
            before = texts.get(name) or originals.setdefault(name, _read(judged.facts.code.files.root / name))
            try:
                texts[name] = rewrite(before, mine, python=name.endswith(".py"))
            except FixError as error:
                refused.append(str(error))
            counts[name] += len(mine)
        after = judge(request, texts)
    if request.precision is not None and not refused:
        refused += _why(judged, after)
    changed = {name: text for name, text in texts.items() if text != originals[name]}
    written = write and not refused and bool(changed)
    if written:
        _write(judged.facts.code.files.root, changed)
    fixed = FixResult(
        written=written,
        files=tuple(
            FileChange(path=name, edits=counts[name], diff=_diff(name, originals[name], changed[name]))
            for name in sorted(changed)
        ),
        refused=tuple(dict.fromkeys(refused)),
        cautions=tuple(dict.fromkeys(_cautions(after, changed)))
        if request.precision is not None and not refused
        else (),
    )
    return fixed, after if not refused else judged


def _edits(request: LintTask, judged: LintResult, *, unsafe: bool) -> dict[str, list[Edit]]:
    """Return the edits by file; what is only safe or only asked for is not worth refusing a change for a notebook."""
    found: dict[str, list[Edit]] = defaultdict(list)
    plain = [edit for finding in judged.findings for edit in (*finding.safe, *(finding.unsafe if unsafe else ()))]
    wanted = [edit for edit in plain if not edit.path.endswith(".ipynb")]
    if request.precision == "bf16":
        wanted += [edit for place in _places(judged) for edit in place.bf16]
    for edit in dict.fromkeys(wanted):
        found[edit.path].append(edit)
    return found


def _places(judged: LintResult) -> Iterator[CodeFinding]:
    """Yield every place of float16: those of a diagnosis, and single ones."""
    for diagnosis in judged.diagnoses:
        yield from diagnosis.places
    yield from (finding for finding in undiagnosed(judged.findings, judged.diagnoses) if finding.cause == "float16")


def _why(before: LintResult, after: LintResult) -> Iterator[str]:
    """Yield what stays in float16, by the lines that the files have now: the edits have moved some."""
    known: dict[tuple[str, str | None, str], list[CodeFinding]] = defaultdict(list)
    for place in before.findings:
        known[place.id, place.path, place.message].append(place)
    for place in after.findings:
        if place.cause == "float16" and place.severity is not Severity.NOTE:
            same = known[place.id, place.path, place.message]
            now = same.pop(0) if same else place
            detail = f" ({now.evidence[0]})" if now.evidence else ""
            yield f"{now.path}:{now.line}: {now.message}{detail}"


def _unreadable(request: LintTask, judged: LintResult) -> Iterator[str]:
    if request.precision is None:
        return
    units = {judged.facts.code.folder_of(place.file) for place in _places(judged)}
    for file in judged.facts.code.files.unread_files:
        inside = any(not unit or file.name.startswith(f"{unit}/") for unit in units)
        if inside and not infers_by_path(file.name) and file.name.endswith(".py"):
            yield f"{file.name}: not read ({file.reason}), so it is unknown whether the change is complete"


def _cautions(after: LintResult, changed: Iterable[str]) -> Iterator[str]:
    """Yield what bfloat16 breaks that no rule is about: NumPy has no such type."""
    code = after.facts.code
    units = {code.files.folders.get(name) for name in changed}
    for module in code.files.modules.values():
        if code.files.folders[module.name] not in units or infers_by_path(module.name):
            continue
        for call in module.calls:
            if call.name == "numpy" and not call.node.args and ".float()" not in ast.unparse(call.node):
                where = f"{module.name}:{call.node.lineno}"
                yield f"{where}: .numpy() raises TypeError for a bfloat16 tensor: add .float() before it"


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
    """Write all files or none, each in the encoding that it has."""
    contents: dict[Path, bytes] = {}
    for name, text in texts.items():
        path = (root / name).resolve()
        try:
            contents[path] = text.encode(encoding_of(path.read_bytes()))
        except (OSError, UnicodeEncodeError) as error:
            message = f"{path}: cannot be written: {error}"
            raise FixError(message) from error
    writing.replace_all(contents)


def lines_of(fixed: Iterable[FileChange]) -> str:
    """Return the diffs of several files as one patch."""
    return "".join(file.diff for file in fixed)
