"""Requirements that bring together two releases which do not work together, where they are installed today."""

from collections.abc import Iterator
from itertools import combinations

from vc2doctor.core.versions import holds
from vc2doctor.core.wording import enumerated
from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.api_names import PACKAGES, all_code
from vc2doctor.linter.analyse.api_target import Target, requirement_of, target_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.knowledge.api_table import load_table
from vc2doctor.linter.model import CodeFinding
from vc2doctor.matrix import load
from vc2doctor.matrix.known_issue import KnownIssue

_TRAINER = "trainer"
"""The door of transformers' Trainer."""


def fresh_pairs(facts: Facts) -> Iterator[CodeFinding]:
    """Yield the requirements whose newest releases have a known issue together, one finding for each issue and folder.

    Both packages are named there, at least one of them without a version that holds it. What is installed is judged by
    ``vc2doctor check``.
    """
    code, table = all_code(facts), load_table()
    if table is None or code.files.installed:
        return
    issues = [issue for issue in load.known_issues(load.shipped()) if _is_of_two_packages(issue)]
    for folder in sorted({code.requirements_folder_of(name) for name in code.files.modules}):
        # What a folder above asks for may be another environment.
        named = [name for name in table.packages if name in code.files.requirements.get(folder, {})]
        targets = {name: target_of(code, folder, table.packages[name]) for name in named}
        for issue in issues:
            for names in combinations([name for name, target in targets.items() if target is not None], 2):
                known = {name: target for name in names if (target := targets[name]) is not None}
                versions = {name: table.packages[name].releases[target.newest] for name, target in known.items()}
                if any(holds(when, versions) and set(when) == set(names) for when in issue.when) and _concerns(
                    code, folder, issue
                ):
                    yield from _finding(code, folder, issue, known, versions)


def _is_of_two_packages(issue: KnownIssue) -> bool:
    doors = set(issue.doors) <= {_TRAINER}
    return doors and issue.severity == "error" and not issue.recipes and not issue.model_types


def _concerns(code: CodeFacts, folder: str, issue: KnownIssue) -> bool:
    """Return whether code of a folder goes through the door that has an issue."""
    modules = (module for name, module in code.files.modules.items() if code.requirements_folder_of(name) == folder)
    return not issue.doors or any(
        name.partition(".")[0] in PACKAGES and name.endswith("Trainer")
        for module in modules
        for name in module.imports.values()
    )


def _finding(
    code: CodeFacts, folder: str, issue: KnownIssue, known: dict[str, Target], versions: dict[str, str]
) -> Iterator[CodeFinding]:
    """Yield the finding at the requirement that allows more; none if both are pinned, which is another matter."""
    loosest = max(known, key=lambda name: known[name].bits.bit_count())
    required = requirement_of(code, folder, loosest)
    if required is None or known[loosest].certainty == "known":
        return
    both = enumerated([f"{name} {text}" for name, text in versions.items()])
    yield build.at_line(
        required.file,
        required.line,
        "VC118",
        Severity.WARNING,
        f"an installation of today brings {both} together: {issue.title}",
        evidence=(*(target.reason for target in known.values()), issue.evidence),
        remedy=f"Ask for {' or for '.join(' and '.join(fix) for fix in issue.fix)}.",
        url=issue.sources[0],
        role="config",
    )
