"""Compiling evidence and wheels into constraints and verdicts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.facts import EVIDENCE, SHIPPED, cell
from vc2doctor.core.versions import ABSENT, holds
from vc2doctor.curate.compile import CompileError, compile_folder, compile_matrix, newest
from vc2doctor.curate.compile.failures import passes
from vc2doctor.curate.plan import plan
from vc2doctor.curate.run import verdicts_text
from vc2doctor.matrix import load
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.judge import Combination, Judgement, Verdict, judge, possible_conflicts
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.releases import ProvidedSymbol, Release, RequiredSymbol, Wheels
from vc2doctor.matrix.verdict import ANY_VERSION, CPU_BUILD, TRITON

NO_WHEELS = Wheels(date="", releases={}, required=(), provided=())


def import_failure(symbol: str = "X", **others: object) -> dict[str, object]:
    failure = {
        "type": "ImportError",
        "message": f"cannot import name '{symbol}' from 'transformers'",
        "package": "peft",
        "missing": {"module": "transformers", "symbol": symbol},
    }
    return {"recipes": {}, "adapter": "not reached", "import_failure": failure, **others}


def not_installed(outcome: str, message: str) -> dict[str, object]:
    installation = {"install": outcome, "install_message": message, "resolved": {}, "device": "none"}
    return {**installation, "recipes": {}, "adapter": "not reached"}


def wheels(**releases: str) -> Wheels:
    listed = {name: {text: Release(date="2024-01-01") for text in texts.split()} for name, texts in releases.items()}
    return Wheels(date="", releases=listed, required=(), provided=())


def compiled(lines: list[EvidenceLine], released: Wheels = NO_WHEELS) -> Matrix:
    return Matrix(profiles={}, issues=(), verdicts=compile_matrix(lines, (), released))


def judged(matrix: Matrix, transformers: str, peft: str, recipe: str = "bf16", **others: str) -> Judgement:
    versions = {"torch": "2.0.0", "transformers": transformers, "peft": peft, **others}
    return judge(Combination(python="3.11", versions=versions, installed=False), matrix, recipe)


WITH_SYMBOL = wheels(torch="2.0.0", transformers="4.1.0 4.2.0 4.3.0 5.0.0", peft="0.1.0 0.2.0 0.3.0").model_copy(
    update={
        "required": (
            RequiredSymbol(
                package="peft", module="transformers", symbol="X", file="peft/a.py", releases=(("0.2.0", "0.3.0"),)
            ),
        ),
        "provided": (
            ProvidedSymbol(package="transformers", module="transformers", symbol="X", releases=(("4.2.0", "4.3.0"),)),
        ),
    }
)


def test_a_missing_symbol_decides_about_unmeasured_releases() -> None:
    stacks = (("4.1.0", "0.1.0"), ("4.3.0", "0.1.0"), ("5.0.0", "0.1.0"), ("4.2.0", "0.3.0"))
    lines = [cell("2.0.0", *stack) for stack in stacks]
    matrix = compiled(lines, WITH_SYMBOL)
    judgement = judged(matrix, "5.0.0", "0.2.0")
    assert judgement.verdict is Verdict.INCOMPATIBLE
    assert "imports X of transformers (in peft/a.py), which transformers has from 4.2.0 up to 4.3.0" in judgement.reason
    assert "nearest measured successes: 2.0.0-5.0.0-0.1.0, 2.0.0-4.2.0-0.3.0" in judgement.reason
    assert judged(matrix, "4.1.0", "0.3.0").verdict is Verdict.INCOMPATIBLE
    assert judged(matrix, "4.2.0", "0.2.0").verdict is Verdict.COMPATIBLE


def test_wheels_that_contradict_a_measurement_are_an_error() -> None:
    with pytest.raises(
        CompileError, match=r"peft >=0\.2\.0 imports X.*but cell 2\.0\.0-5\.0\.0-0\.2\.0 trains under fp32"
    ):
        compiled([cell("2.0.0", "5.0.0", "0.2.0")], WITH_SYMBOL)


def test_a_line_that_does_not_name_a_package_does_not_show_that_it_was_absent() -> None:
    (required,) = WITH_SYMBOL.required
    for name, is_named in (("rich", False), ("accelerate", True)):
        when = {name: ABSENT}
        wheels = WITH_SYMBOL.model_copy(update={"required": (required.model_copy(update={"when": when}),)})
        line = cell("2.0.0", "5.0.0", "0.2.0", resolved={"numpy": "2.4.6"})
        if is_named:
            with pytest.raises(CompileError, match=r"but cell 2\.0\.0-5\.0\.0-0\.2\.0 trains"):
                compiled([line], wheels)
        else:
            assert compiled([line], wheels)


def test_a_known_issue_that_contradicts_a_measurement_is_an_error() -> None:
    issue = SHIPPED.issues[0].model_copy(update={"id": "x", "when": ({"peft": "<1"},), "severity": "error"})
    issue = issue.model_copy(update={"probe_sees": True, "recipes": ()})
    with pytest.raises(CompileError, match=r"known issue x: .* trains under fp32"):
        compile_matrix([cell("2.0.0", "4.0.0", "0.1.0")], [issue], NO_WHEELS)


def test_releases_between_a_failure_and_a_success_are_unverified() -> None:
    releases = wheels(torch="2.0.0", transformers="4.0.0", peft="0.1.0 0.2.0 0.3.0 0.4.0 0.5.0")
    lines = [cell("2.0.0", "4.0.0", peft) for peft in ("0.1.0", "0.5.0")]
    lines.append(cell("2.0.0", "4.0.0", "0.3.0", recipes={"fp32": "finite", "bf16": "poisoned"}))
    matrix = compiled(lines, releases)
    assert judged(matrix, "4.0.0", "0.3.0").verdict is Verdict.INCOMPATIBLE
    for peft in ("0.2.0", "0.4.0"):
        judgement = judged(matrix, "4.0.0", peft)
        assert judgement.verdict is Verdict.UNVERIFIED
        assert "lie near a measured failure, and no measurement shows that they work" in judgement.reason
    assert judged(matrix, "4.0.0", "0.2.0", "fp32").verdict is Verdict.COMPATIBLE


def test_a_symbol_missing_between_two_packages_is_a_constraint_on_both() -> None:
    lines = [cell("2.0.0", transformers, "0.9.0", **import_failure()) for transformers in ("4.0.0", "4.1.0")]
    lines += [cell("2.0.0", "4.2.0", "0.9.0"), cell("2.0.0", "4.2.0", "0.8.0")]
    (constraint,) = [entry for entry in compiled(lines).verdicts.constraints if entry.kind == "behaviour"]
    assert constraint.when == {"transformers": ">=4.0.0,<=4.1.0", "peft": "==0.9.0"}
    assert judged(compiled(lines), "4.0.0", "0.8.0").verdict is Verdict.UNVERIFIED


def test_failures_with_different_signatures_are_separate_constraints() -> None:
    lines = [
        cell("2.0.0", "4.0.0", "0.9.0", **import_failure("A")),
        cell("2.0.0", "4.1.0", "0.9.0", **import_failure("B")),
    ]
    lines.append(cell("2.0.0", "4.2.0", "0.9.0"))
    assert len(compiled(lines).verdicts.constraints) == 2


def test_a_failed_installation_does_not_concern_installed_packages() -> None:
    message = "Because peft depends on huggingface-hub>=1 and transformers==4.0.0 depends on huggingface-hub<1"
    lines = [
        cell("2.0.0", "4.0.0", "0.9.0", **not_installed("unsatisfiable", message)),
        cell("2.0.0", "4.1.0", "0.9.0"),
    ]
    matrix = compiled(lines)
    assert judged(matrix, "4.0.0", "0.9.0").verdict is Verdict.INCOMPATIBLE
    versions = {"torch": "2.0.0", "transformers": "4.0.0", "peft": "0.9.0"}
    installed = judge(Combination(python="3.11", versions=versions), matrix, "bf16")
    assert installed.verdict is Verdict.UNVERIFIED


def test_a_failure_of_a_package_beside_the_stack_says_nothing_about_the_stack() -> None:
    failure = {"type": "ModuleNotFoundError", "message": "No module named 'triton.ops'", "package": "bitsandbytes"}
    fields = {"recipes": {}, "adapter": "not reached", "import_failure": failure}
    broken = cell("2.0.0", "4.1.0", "0.9.0", door_packages={"bitsandbytes": "0.43.3"}, **fields)
    matrix = compiled([cell("2.0.0", "4.0.0", "0.9.0"), broken, cell("2.0.0", "4.2.0", "0.9.0")])
    assert matrix.verdicts.constraints == ()
    assert judged(matrix, "4.1.0", "0.9.0", bitsandbytes="0.43.3").verdict is not Verdict.UNVERIFIED


def test_versions_that_exclude_each_other_are_no_boundary() -> None:
    released = wheels(torch="2.0.0", transformers="4.0.0 4.1.0", peft="0.9.0", accelerate="0.20.0 0.30.0")
    needing = {"0.9.0": Release(date="2024-01-01", requires={"accelerate": ">=0.21"})}
    released = released.model_copy(update={"releases": {**released.releases, "peft": needing}})
    refused = not_installed("unsatisfiable", "Because peft==0.9.0 depends on accelerate>=0.21 and you require 0.20.0")
    lines = [cell("2.0.0", "4.0.0", "0.9.0", asked=("accelerate==0.20.0",), **refused), cell("2.0.0", "4.1.0", "0.9.0")]
    assert compile_matrix(lines, (), released).constraints == ()


def test_a_failed_build_is_a_constraint_on_the_python() -> None:
    def on(python: str, transformers: str, **fields: object) -> EvidenceLine:
        versions = {"python": python, "torch": "2.0.0", "transformers": transformers, "peft": "0.9.0"}
        return cell("2.0.0", transformers, "0.9.0", cell=versions, **fields)

    failure = not_installed("build-failed", "Failed to build `tokenizers==0.13.3`")
    lines = [on("3.12", "4.0.0", **failure), on("3.11", "4.0.0"), on("3.12", "4.5.0")]
    (constraint,) = compiled(lines).verdicts.constraints
    assert constraint.when == {"transformers": "==4.0.0", "python": "==3.12"}


def test_a_newer_measurement_replaces_an_older_one_of_the_same_cell() -> None:
    older = cell("2.0.0", "4.0.0", "0.9.0", **import_failure())
    newer = cell("2.0.0", "4.0.0", "0.9.0", worker="2")
    assert newest([newer, older]) == [newer]


def test_a_version_that_the_resolver_chose_decides_even_if_it_is_not_named() -> None:
    required = RequiredSymbol(
        package="peft", module="huggingface_hub", symbol="X", file="a.py", releases=(("0.2.0", "0.3.0"),)
    )
    provided = ProvidedSymbol(
        package="huggingface-hub", module="huggingface_hub", symbol="X", releases=(("0.9.0", "0.9.0"),)
    )
    released = wheels(
        torch="2.0.0", transformers="4.0.0 4.1.0", peft="0.1.0 0.2.0 0.3.0", **{"huggingface-hub": "0.8.0 0.9.0"}
    )
    released = released.model_copy(update={"required": (required,), "provided": (provided,)})
    old = {"huggingface-hub": "0.8.0"}
    new = {"huggingface-hub": "0.9.0"}
    lines = [
        cell("2.0.0", "4.0.0", "0.3.0", **{**import_failure(), "resolved": old}),
        cell("2.0.0", "4.0.0", "0.2.0", **{**import_failure(), "resolved": old}),
        cell("2.0.0", "4.0.0", "0.1.0", resolved=old),
        cell("2.0.0", "4.1.0", "0.3.0", resolved=new),
        cell("2.0.0", "4.1.0", "0.2.0", resolved=new),
    ]
    matrix = compiled(lines, released)
    assert judged(matrix, "4.0.0", "0.3.0").verdict is Verdict.INCOMPATIBLE
    versions = {"torch": "2.0.0", "transformers": "4.0.0", "peft": "0.3.0", "huggingface-hub": "0.9.0"}
    assert judge(Combination(python="3.11", versions=versions), matrix, "bf16").verdict is not Verdict.INCOMPATIBLE


def test_an_undeclared_package_decides_if_it_is_absent() -> None:
    failure = {"type": "ModuleNotFoundError", "message": "No module named 'pkg_resources'", "package": "torch"}
    fails = {**import_failure(), "import_failure": {**failure, "missing": {"module": "pkg_resources"}}}
    with_setuptools = {"numpy": "2.4.6", "setuptools": "75.8.0"}
    lines = [cell("2.0.0", "4.0.0", peft) for peft in ("0.1.0", "0.3.0")]
    lines += [cell("2.0.0", "4.0.0", "0.2.0", **fails), cell("2.0.0", "4.0.0", "0.2.0", resolved=with_setuptools)]
    matrix = compiled(lines)
    (constraint,) = matrix.verdicts.constraints
    assert constraint.when["setuptools"] == "absent"
    versions = {"torch": "2.0.0", "transformers": "4.0.0", "peft": "0.2.0", "numpy": "1.0"}
    newer_setuptools = {**versions, "setuptools": "80.0.0"}
    assert judge(Combination(python="3.11", versions=versions), matrix, "bf16").verdict is Verdict.INCOMPATIBLE
    assert judge(Combination(python="3.11", versions=newer_setuptools), matrix, "bf16").verdict is Verdict.COMPATIBLE
    # A user who only names versions does not say that other packages are absent.
    named = Combination(python="3.11", versions=versions, installed=False)
    assert judge(named, matrix, "bf16").verdict is Verdict.COMPATIBLE
    assert any(conflict.where == "without setuptools" for conflict in possible_conflicts(named, matrix, "bf16"))


def test_a_module_that_a_newer_release_dropped_is_a_constraint_on_that_release() -> None:
    failure = {"type": "ModuleNotFoundError", "message": "No module named 'pkg_resources'", "package": "torch"}
    fails = {**import_failure(), "import_failure": {**failure, "missing": {"module": "pkg_resources"}}}
    old, new = {"numpy": "1.26.4", "setuptools": "75.8.0"}, {"numpy": "1.26.4", "setuptools": "84.2.1"}
    lines = [cell("2.0.0", "4.0.0", peft, resolved=new) for peft in ("0.1.0", "0.3.0")]
    lines += [
        cell("2.0.0", "4.0.0", "0.2.0", **{**fails, "resolved": new}),
        cell("2.0.0", "4.0.0", "0.2.0", resolved=old),
    ]
    (constraint,) = compiled(lines).verdicts.constraints
    assert (constraint.when["peft"], constraint.when["setuptools"]) == ("==0.2.0", "==84.2.1")


def test_a_failure_without_a_gpu_does_not_concern_machines_with_one() -> None:
    message = "Cannot access accelerator device when none is available."
    failure = {"type": "RuntimeError", "message": message, "package": "torch"}
    lines = [cell("2.0.0", transformers, "0.1.0") for transformers in ("4.0.0", "4.2.0")]
    lines.append(cell("2.0.0", "4.1.0", "0.1.0", **{**import_failure(), "import_failure": failure}))
    matrix = compiled(lines)
    versions = {"torch": "2.0.0", "transformers": "4.1.0", "peft": "0.1.0"}
    assert judge(Combination(python="3.11", versions=versions), matrix, "bf16").verdict is Verdict.INCOMPATIBLE
    with_gpu = {**versions, "gpu": "1"}
    assert judge(Combination(python="3.11", versions=with_gpu), matrix, "bf16").verdict is not Verdict.INCOMPATIBLE


def test_torch_and_transformers_that_fail_at_several_stages_are_incompatible_with_every_peft() -> None:
    at_import = {"type": "NameError", "message": "name 'nn' is not defined", "package": "transformers"}
    at_import_line = {**import_failure(), "import_failure": at_import}
    at_step = {"type": "ImportError", "message": "Model requires the PyTorch library", "package": "transformers"}
    at_step_line = {"recipes": {"fp32": "error", "bf16": "error"}, "failures": {"fp32": at_step, "bf16": at_step}}
    at_step_line["adapter"] = "not reached"
    lines = [
        cell("2.0.0", "5.0.0", "0.1.0", **at_step_line),
        cell("2.0.0", "5.1.0", "0.1.0", **at_step_line),
        cell("2.0.0", "5.2.0", "0.3.0", **at_import_line),
        cell("2.0.0", "4.0.0", "0.1.0"),
        cell("2.0.0", "4.0.0", "0.3.0"),
        cell("2.5.0", "5.2.0", "0.1.0"),
        cell("2.5.0", "5.0.0", "0.3.0"),
    ]
    judgement = judged(compiled(lines), "5.2.0", "0.2.0")
    assert judgement.verdict is Verdict.INCOMPATIBLE
    assert "With torch 2.0 and transformers 5.0.0 to 5.2.0, no measured cell trains" in judgement.reason


def test_a_constraint_ignores_patch_releases_of_torch() -> None:
    lines = [cell("2.0.1", "4.1.0", "0.1.0", **import_failure()), cell("2.0.1", "4.0.0", "0.1.0")]
    lines += [cell("2.1.2", "4.1.0", "0.1.0"), cell("2.1.2", "4.0.0", "0.1.0")]
    matrix = compiled(lines)
    versions = {"torch": "2.1.0", "transformers": "4.1.0", "peft": "0.1.0"}
    assert judge(Combination(python="3.11", versions=versions), matrix, "bf16").verdict is Verdict.COMPATIBLE


def test_a_python_without_a_wheel_of_torch_is_incompatible() -> None:
    released = wheels(torch="2.0.0", transformers="4.0.0", peft="0.1.0")
    released.releases["torch"]["2.0.0"] = Release(date="", built_for=("3.10", "3.11"))
    matrix = compiled([cell("2.0.0", "4.0.0", "0.1.0")], released)
    versions = {"torch": "2.0.0", "transformers": "4.0.0", "peft": "0.1.0"}
    judgement = judge(Combination(python="3.12", versions=versions, installed=False), matrix, "bf16")
    assert judgement.verdict is Verdict.INCOMPATIBLE
    assert "no known release of torch supports Python 3.12" in judgement.reason


TRANSFORMERS = tuple(f"4.{minor}.0" for minor in range(12))
PEFTS = tuple(f"0.{minor}.0" for minor in range(8))
EVERY_RELEASE = wheels(torch="2.0.0", transformers=" ".join(TRANSFORMERS), peft=" ".join(PEFTS))
failing_regions = st.tuples(st.integers(0, 11), st.integers(0, 11), st.integers(0, 7), st.integers(0, 7)).map(
    lambda ends: (*sorted(ends[:2]), *sorted(ends[2:]))
)


def measure(region: tuple[int, ...], transformers: str, peft: str) -> EvidenceLine:
    fails = region[0] <= TRANSFORMERS.index(transformers) <= region[1] and region[2] <= PEFTS.index(peft) <= region[3]
    return cell("2.0.0", transformers, peft, **(import_failure() if fails else {}))


@given(
    failing_regions, st.sets(st.tuples(st.sampled_from(TRANSFORMERS), st.sampled_from(PEFTS)), min_size=1, max_size=12)
)
@settings(max_examples=60, deadline=None)
def test_constraints_match_exactly_the_failures_and_every_measured_verdict_is_right(
    region: tuple[int, ...], measured: set[tuple[str, str]]
) -> None:
    lines = [measure(region, *stack) for stack in sorted(measured)]
    matrix = compiled(lines, EVERY_RELEASE)
    for line in lines:
        matching = [constraint for constraint in matrix.verdicts.constraints if holds(constraint.when, line.versions)]
        assert bool(matching) is (line.import_failure is not None)
        judgement = judged(matrix, line.cell.transformers, line.cell.peft)
        assert judgement.verdict is (Verdict.INCOMPATIBLE if line.import_failure else Verdict.VERIFIED)


@given(failing_regions)
@settings(max_examples=25, deadline=None)
def test_the_plan_finds_a_failing_region_with_few_measurements(region: tuple[int, ...]) -> None:
    ends = itertools.product((TRANSFORMERS[0], TRANSFORMERS[-1]), (PEFTS[0], PEFTS[-1]))
    lines = [measure(region, *stack) for stack in ends]
    while cells := plan(compiled(lines, EVERY_RELEASE), "bf16", ("2.0.0",), 2):
        measured = {(line.cell.transformers, line.cell.peft) for line in lines}
        assert not measured & {(planned.cell.transformers, planned.cell.peft) for planned in cells}, "measured before"
        lines += [measure(region, planned.cell.transformers, planned.cell.peft) for planned in cells]
        assert len(lines) <= len(TRANSFORMERS) * len(PEFTS)
    matrix = compiled(lines, EVERY_RELEASE)
    is_region_met = any(line.import_failure for line in lines)
    for stack in itertools.product(TRANSFORMERS, PEFTS):
        fails = measure(region, *stack).import_failure is not None
        verdict = judged(matrix, *stack).verdict
        # A region that no measurement met cannot be known; one that was met is found whole.
        assert (verdict is Verdict.INCOMPATIBLE) is (fails and is_region_met), (stack, verdict)
    assert len(lines) <= 48


def test_the_shipped_verdicts_are_current() -> None:
    folder = load.shipped()
    verdicts = compile_folder(folder, load.evidence(folder), load.known_issues(folder))
    is_current = (folder / "verdicts.json").read_text(encoding="utf-8") == verdicts_text(verdicts)
    # A plain message: the difference of two lines of 360 kB helps no reader.
    assert is_current, "matrices/verdicts.json is not current; write it: vc2doctor matrix compile"


def test_every_shipped_measurement_is_judged_as_it_ended() -> None:
    for line in newest(EVIDENCE):
        if line.trains("bf16") is None:
            continue
        versions = {name: text for name, text in line.versions.items() if name != "python"}
        if CPU_BUILD not in line.cell.torch:
            # The lines do not record it, and every build for GPUs brings it.
            versions.setdefault(TRITON, ANY_VERSION)
        installed = line.install == "installed"
        judgement = judge(Combination(python=line.cell.python, versions=versions, installed=installed), SHIPPED, "bf16")
        is_good = judgement.verdict in (Verdict.VERIFIED, Verdict.COMPATIBLE)
        # A known issue that the probe cannot see outweighs a cell that trains.
        has_invisible_issue = any(issue.id in judgement.issues and not issue.probe_sees for issue in SHIPPED.issues)
        assert is_good is (line.trains("bf16") and not has_invisible_issue), (line.name, judgement)


def test_a_cell_that_passes_a_stage_passed_the_earlier_ones() -> None:
    line = cell("2.0.0", "4.0.0", "0.9.0", recipes={"fp32": "finite", "bf16": "poisoned"})
    stages = ("install", "import", "train", "save", "bf16", "fp16-amp")
    assert [passes(line, stage) for stage in stages] == [True, True, True, True, False, False]
    assert not any(passes(cell("2", "4", "0", **import_failure()), stage) for stage in stages[1:])
