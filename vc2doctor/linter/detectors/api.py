"""Finds uses of names and arguments that the release in use lacks."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from vc2doctor.core.wording import enumerated
from vc2doctor.findings import Severity, WantedRelease
from vc2doctor.linter import build
from vc2doctor.linter.analyse.api_names import all_code
from vc2doctor.linter.analyse.api_programs import files_of_programs, folders_that_decide
from vc2doctor.linter.analyse.api_target import (
    Judgement,
    companions,
    described,
    judgement_of,
    nearest_releases,
    ranges,
    since,
)
from vc2doctor.linter.analyse.api_use import Kind, Use
from vc2doctor.linter.analyse.api_uses import api_uses
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.detectors.later_uses import later_uses
from vc2doctor.linter.knowledge.api_table import DROPPED, ApiTable, PackageTable, load_table
from vc2doctor.linter.knowledge.held_back import bits_in_known_issues, bits_with
from vc2doctor.linter.knowledge.loader_keywords import LEFT_OUT
from vc2doctor.linter.model import CodeFinding

_URL = "https://pypi.org/project/{}/#history"


def missing_uses(facts: Facts, id_: str, kinds: Sequence[Kind]) -> Iterator[CodeFinding]:
    """Yield one finding for each name or argument that the release in use lacks, with all its places in a unit."""
    table = load_table()
    if table is None:
        return
    code = all_code(facts)
    grouped: dict[tuple[str, str], list[Use]] = defaultdict(list)
    for use in api_uses(facts):
        if use.kind in kinds:
            for folder in folders_that_decide(code, use.file, use.existence.package):
                grouped[folder, use.label].append(use)
    reached = files_of_programs(code) if grouped else frozenset()
    for (folder, _), uses in grouped.items():
        package = table.packages[uses[0].existence.package]
        judgement = judgement_of(code, folder, package, uses[0].existence.bits)
        if judgement is not None:
            is_reached = any(use.module is None or use.file in reached for use in uses)
            finding = _finding(id_, uses, judgement, table, is_reached=is_reached)
            remedy, wanted = _remedy(uses[0], judgement, package, companions(code, folder, package.name))
            yield finding.model_copy(update={"remedy": remedy, "wanted": wanted})


def _finding(id_: str, uses: Sequence[Use], judgement: Judgement, table: ApiTable, *, is_reached: bool) -> CodeFinding:
    """Return the finding about one name; where no program is known to import it, it is a note."""
    use = uses[0]
    package = table.packages[use.existence.package]
    position = package.places[judgement.release]
    is_certain = judgement.is_certain and not all(other.is_conditional for other in uses)
    nodes = (*uses, *(later for each in uses for later in later_uses(each)))
    places = tuple(dict.fromkeys(build.place_of_use(each.module, each.node, each.file, each.line) for each in nodes))
    severity = Severity.ERROR if is_certain else Severity.WARNING
    doubt = _doubt(use, judgement, is_reached=is_reached)
    message = f"{package.name} {judgement.release} {_predicate(use, position, package)}"
    finding = build.at_line(
        places[0].path,
        places[0].line,
        id_,
        Severity.NOTE if doubt else severity,
        f"{message} ({doubt})" if doubt else message,
        evidence=(
            judgement.reason,
            f"{_works(use, package)}, as the wheels of {table.date} show",
        ),
        url=_URL.format(package.name),
        also=places[1:],
    )
    return finding.model_copy(update={"end_line": places[0].end_line})


def _doubt(use: Use, judgement: Judgement, *, is_reached: bool) -> str:
    """Return why a run may not meet what is wrong, for the end of the message; empty: nothing speaks against it."""
    if not is_reached:
        return "no program here imports this file"
    return f"only with {use.only_with}" if use.only_with else judgement.doubt


def _predicate(use: Use, position: int, package: PackageTable) -> str:
    """Return what a release lacks or refuses, and since when, as the end of a sentence."""
    bits, problem = use.existence.bits, use.problem(position)
    if use.kind == "call":
        return f"refuses this call of {use.label}: it {problem}{since(bits, position, package)}"
    if use.kind == "result":
        return f"{problem} from {use.label}{since(bits, position, package)}: this line loses the model"
    if use.kind == "override":
        return f"{problem}, which {use.label} does not take{since(bits, position, package)}"
    verb = "does not take" if use.kind == "argument" else "does not have"
    return f"{verb} {use.label}: {described(bits, position, package)}"


def _works(use: Use, package: PackageTable) -> str:
    verb = "it works with" if use.problems else "it exists in"
    bits = use.existence.takes
    return f"{verb} {package.name} {ranges(bits, package)}" if bits else f"no release of {package.name} takes it"


def _remedy(
    use: Use, judgement: Judgement, package: PackageTable, kept: Mapping[str, str]
) -> tuple[str, WantedRelease | None]:
    """Return what to do, and the releases that work; ``kept`` are the versions of other packages that stay."""
    if not use.existence.bits:
        return "Change the call.", None
    position = package.places[judgement.release]
    instead = _instead(use, position)
    wanted = WantedRelease(package.name, nearest_releases(use.existence.takes, position, package), instead)
    installable = use.existence.takes & bits_with(package, kept) & ~bits_in_known_issues(package, kept)
    if not installable:
        others = enumerated([f"{name} {text}" for name, text in kept.items()])
        what = f"no release of {package.name} that takes it works with {others}"
        return f"{instead}: {what}." if instead else f"Change the code: {what}.", wanted
    releases = f"{package.name} {ranges(installable, package, 'or')}"
    return f"{instead}, or install {releases}." if instead else f"Install {releases}, or change the code.", wanted


def _instead(use: Use, position: int) -> str:
    """Return the change of the code that helps, as a clause; empty: it is not known."""
    is_older = not use.existence.bits & ((1 << position) - 1)
    if use.kind == "argument" and use.label.partition("(")[2].removesuffix("=)") in DROPPED:
        return "Leave it out"
    if not use.hint or is_older:
        return ""
    return "Leave it out" if use.hint == LEFT_OUT else f"Write `{use.hint}`"
