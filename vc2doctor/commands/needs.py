"""``vc2doctor needs``: the releases of the training packages in which everything that a program uses exists."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from vc2doctor import __version__
from vc2doctor.commands import versions
from vc2doctor.commands.measured_set import MeasuredSet, best_measured
from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.versions import STACK_PACKAGES, exact
from vc2doctor.linter.analyse.api_names import whole_code
from vc2doctor.linter.analyse.api_programs import Program, programs_of
from vc2doctor.linter.analyse.api_target import allowed_bits, requirement_of
from vc2doctor.linter.analyse.api_use import Use
from vc2doctor.linter.analyse.api_uses import api_uses
from vc2doctor.linter.analyse.api_window import Window, window_of
from vc2doctor.linter.analyse.doors import doors_in
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.build import place_of_use
from vc2doctor.linter.knowledge.api_table import ApiTable, PackageTable, load_table
from vc2doctor.linter.read.project import read_project
from vc2doctor.linter.read.requirements import RequiredVersion
from vc2doctor.matrix import load
from vc2doctor.matrix.judge import Judgement, Verdict
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.remedies.question import Goal
from vc2doctor.target.doors import DEFAULT_DOORS

MIN_PINS = 2
"""Packages of the stack that have to be pinned for a verdict on them together."""


class NeedsError(DoctorError):
    """The table of names cannot be used."""


class NeedsRequest(Data):
    """The options of ``needs``."""

    paths: tuple[Path, ...]
    recipe: str = "bf16"
    """The precision recipe under which the measured set must train."""


class NeededName(Data):
    """A name or an argument that ends a window."""

    label: str
    """``transformers.deepspeed``, ``TrainingArguments(evaluation_strategy=)``."""
    path: str
    line: int
    missing_in: str
    """The nearest release outside the window, which lacks it."""
    problem: str = ""
    """What that release does instead of lacking it: ``returns no model``; empty: it lacks it."""


class PackageWindow(Data):
    """The releases of one package in which everything exists."""

    package: str
    first: str
    """The oldest release of the window; empty: no release has everything."""
    last: str
    is_open_below: bool
    """Whether the window begins with the oldest release that was read."""
    is_open_above: bool
    """Whether the window ends with the newest release that was read."""
    releases: int
    minor_releases: int
    names: int
    """How many names and arguments that not every release has decide the window."""
    lower: NeededName | None = None
    """What the release before the window lacks."""
    upper: NeededName | None = None
    """What the release after the window lacks."""
    conflict: tuple[NeededName, ...] = ()
    """Names that no release has together; ``missing_in`` is then the nearest release that lacks it."""
    only_in_branches: tuple[NeededName, ...] = ()
    """Names in a branch that do not count, because ``missing_in`` lacks them: the newest release in the window, or the
    newest in it that the project asks for."""
    required: str | None = None
    """What the project asks for: ``transformers==4.28.1 (requirements.txt:3)``."""
    required_fits: bool | None = None
    """Whether a release that the project asks for lies in the window; ``None``: it asks for none that is known."""


class PinnedSet(Data):
    """The exact versions that the project asks for, and what the matrix says of them together."""

    requirements: tuple[str, ...]
    """``peft==0.17.0``."""
    files: tuple[str, ...]
    """The files that pin them."""
    verdict: Verdict
    reason: str


class ProgramNeeds(Data):
    """What one program, or several that need the same, can run with."""

    programs: tuple[str, ...]
    """Files that are started."""
    windows: tuple[PackageWindow, ...]
    measured: MeasuredSet | None = None
    """The best set of versions inside the windows that was measured to train."""
    pinned: PinnedSet | None = None
    """What the project pins, if that is at least two packages of the stack."""


class NeedsReport(Data):
    """The windows of all programs of a project."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    doctor: str
    verdict: Literal["satisfiable", "unsatisfiable", "unknown"]
    exit_code: int
    """0: every program has a window; 1: one has none, or the project asks for releases outside of it, or pins versions
    that do not train together; 3: unknown."""
    root: str
    table_date: str
    """The day on which the releases were read."""
    files: int
    programs: tuple[ProgramNeeds, ...]
    unread: tuple[str, ...] = ()
    """Files that could not be read: what they use is not known."""


def needs(request: NeedsRequest) -> NeedsReport:
    """Return the windows of the programs below the paths of ``request``.

    Raises:
        LintError: a path does not exist, or holds nothing to read.
        NeedsError: there is no table of names.
        MatrixError: the matrix or the table cannot be used.
    """
    table = load_table()
    if table is None:
        message = "matrices/api.json.gz is missing: `nox -s wheels` makes it."
        raise NeedsError(message)
    facts = Facts(CodeFacts(read_project(request.paths)))
    code = whole_code(facts)
    uses = api_uses(facts)
    matrix = load.load(load.shipped())
    pins = _Pins(code, matrix, request.recipe)
    entries = [
        entry.model_copy(update={"pinned": pins.of(entry, program)})
        for program in programs_of(code)
        if (entry := _program(code, program, uses, table)) is not None
    ]
    programs = tuple(_with_set(code, entry, matrix, request.recipe) for entry in _grouped(entries))
    verdict = _verdict(programs)
    return NeedsReport(
        doctor=__version__,
        verdict=verdict,
        exit_code={"satisfiable": 0, "unsatisfiable": 1, "unknown": 3}[verdict],
        root=str(code.files.root),
        table_date=table.date,
        files=code.files.count,
        programs=programs,
        unread=tuple(file.name for file in code.files.unread_files),
    )


def _verdict(programs: Sequence[ProgramNeeds]) -> Literal["satisfiable", "unsatisfiable", "unknown"]:
    if not programs:
        return "unknown"
    windows = [window for program in programs for window in program.windows]
    fails = any(not window.first or window.required_fits is False for window in windows)
    fails |= any(each.pinned and each.pinned.verdict is Verdict.INCOMPATIBLE for each in programs)
    return "unsatisfiable" if fails else "satisfiable"


def _program(code: CodeFacts, program: Program, uses: Iterable[Use], table: ApiTable) -> ProgramNeeds | None:
    """Return the windows of one program; ``None``: it uses nothing of the packages that changed."""
    by_package: dict[str, list[Use]] = {}
    for use in uses:
        if use.file in program.files:
            by_package.setdefault(use.existence.package, []).append(use)
    folder = code.requirements_folder_of(program.name)
    windows = tuple(_window(code, folder, table.packages[name], found) for name, found in sorted(by_package.items()))
    return ProgramNeeds(programs=(program.name,), windows=windows) if windows else None


def _window(code: CodeFacts, folder: str, package: PackageTable, uses: Sequence[Use]) -> PackageWindow:
    required = requirement_of(code, folder, package.name)
    allowed = allowed_bits(package, required.specifier) if required and required.specifier else None
    window = window_of(package, uses, allowed or 0)
    text = f"{package.name}{required.specifier} ({required.location})" if required and required.specifier else None
    return PackageWindow(
        package=package.name,
        first=package.releases[window.first] if window.bits else "",
        last=package.releases[window.last] if window.bits else "",
        is_open_below=bool(window.bits) and window.first == 0,
        is_open_above=bool(window.bits) and window.last == len(package.releases) - 1,
        releases=window.last - window.first + 1 if window.bits else 0,
        minor_releases=_minor_releases(package, window),
        names=len({use.label for use in uses}),
        lower=_name(window.lower, package, window.first - 1),
        upper=_name(window.upper, package, window.last + 1),
        conflict=tuple(_conflicting(window, package)),
        only_in_branches=tuple(_in_branches(window, package, allowed or 0)),
        required=text,
        required_fits=bool(allowed & window.bits) if allowed else None,
    )


def _minor_releases(package: PackageTable, window: Window) -> int:
    inside = package.versions[window.first : window.last + 1] if window.bits else ()
    return len({version.release[:2] for version in inside})


def _name(use: Use | None, package: PackageTable, position: int) -> NeededName | None:
    if use is None:
        return None
    place = place_of_use(use.module, use.node, use.file, use.line)
    release, problem = package.releases[position], use.problem(position)
    return NeededName(label=use.label, path=place.path, line=place.line, missing_in=release, problem=problem)


def _conflicting(window: Window, package: PackageTable) -> Iterator[NeededName]:
    for use in window.conflict:
        here = use.existence.bits
        # The release after the last one that has it; else the one before the first.
        last = here.bit_length()
        outside = last if last < len(package.releases) else (here & -here).bit_length() - 2
        name = _name(use, package, outside)
        if name is not None:
            yield name


def _in_branches(window: Window, package: PackageTable, allowed: int) -> Iterator[NeededName]:
    newest = (window.bits & allowed or window.bits).bit_length() - 1
    for use in window.left_out:
        name = _name(use, package, newest)
        if name is not None:
            yield name


def _grouped(entries: Iterable[ProgramNeeds]) -> Iterator[ProgramNeeds]:
    """Yield the programs; those that need the same releases for the same reasons are one entry."""
    groups: dict[str, list[ProgramNeeds]] = {}
    for entry in entries:
        groups.setdefault(entry.model_dump_json(exclude={"programs"}), []).append(entry)
    for group in groups.values():
        names = tuple(name for entry in group for name in entry.programs)
        yield group[0].model_copy(update={"programs": names})


def _with_set(code: CodeFacts, entry: ProgramNeeds, matrix: Matrix, recipe: str) -> ProgramNeeds:
    """Return the program with the best measured set if every window has a release."""
    if not all(window.first for window in entry.windows):
        return entry
    ranges = {window.package: (window.first, window.last) for window in entry.windows}
    specifiers = {name: required.specifier or "" for name, required in _wanted(code, entry).items()}
    return entry.model_copy(update={"measured": best_measured(matrix, ranges, specifiers, recipe)})


def _wanted(code: CodeFacts, entry: ProgramNeeds) -> dict[str, RequiredVersion]:
    """Return what the project asks for of the stack, and of the packages that a program uses."""
    folder = code.requirements_folder_of(entry.programs[0])
    names = (*STACK_PACKAGES, *(window.package for window in entry.windows))
    asked = {name: requirement_of(code, folder, name) for name in dict.fromkeys(names)}
    return {name: required for name, required in asked.items() if required and required.specifier}


class _Pins:
    """Judges what the project pins, each set of versions once."""

    def __init__(self, code: CodeFacts, matrix: Matrix, recipe: str) -> None:
        self._code = code
        self._matrix = matrix
        self._recipe = recipe
        self._judgements: dict[tuple[tuple[str, ...], tuple[str, ...]], Judgement] = {}

    def of(self, entry: ProgramNeeds, program: Program) -> PinnedSet | None:
        """Return what the matrix says of the exact versions that a program shall run with.

        Only the default doors that its files show count: what breaks another way of training does not concern it.
        ``None``: too few versions are exact.
        """
        wanted = _wanted(self._code, entry)
        pins = {name: required for name, required in wanted.items() if exact(required.specifier or "") is not None}
        if len(pins.keys() & set(STACK_PACKAGES)) < MIN_PINS:
            return None
        shown = doors_in(module for module in self._code.files.modules.values() if module.name in program.files)
        requirements = tuple(f"{name}{required.specifier}" for name, required in pins.items())
        judgement = self._judgement(requirements, tuple(door for door in shown if door in DEFAULT_DOORS))
        files = tuple(dict.fromkeys(required.file for required in pins.values()))
        return PinnedSet(requirements=requirements, files=files, verdict=judgement.verdict, reason=judgement.reason)

    def _judgement(self, requirements: tuple[str, ...], doors: tuple[str, ...]) -> Judgement:
        key = requirements, doors
        if key not in self._judgements:
            goal = Goal(recipe=self._recipe, doors=doors)
            self._judgements[key] = versions.judgement_of(versions.parse_words(requirements), self._matrix, goal)
        return self._judgements[key]
