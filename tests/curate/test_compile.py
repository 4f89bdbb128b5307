"""From evidence and wheels to constraints."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.facts import EVIDENCE, SHIPPED, cell
from vc2doctor.core.versions import holds
from vc2doctor.curate.compile import CompileError, boundaries, compile_folder, compile_matrix, newest
from vc2doctor.curate.plan import plan
from vc2doctor.curate.run import text_of
from vc2doctor.matrix import load
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.judge import Combination, Judgement, Verdict, judge, possible_conflicts
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.releases import ProvidedSymbol, Release, RequiredSymbol, Wheels

NOTHING = Wheels(date="", releases={}, required=(), provided=())


def lacking(symbol: str = "X", **others: object) -> dict[str, object]:
    failure = {
        "type": "ImportError",
        "message": f"cannot import name '{symbol}' from 'transformers'",
        "package": "peft",
        "missing": {"module": "transformers", "symbol": symbol},
    }
    return {"recipes": {}, "adapter": "not reached", "import_failure": failure, **others}


def not_installed(outcome: str, message: str) -> dict[str, object]:
    told = {"install": outcome, "install_message": message, "resolved": {}, "device": "none"}
    return {**told, "recipes": {}, "adapter": "not reached"}


def wheels(**releases: str) -> Wheels:
    listed = {name: {text: Release(date="2024-01-01") for text in texts.split()} for name, texts in releases.items()}
    return Wheels(date="", releases=listed, required=(), provided=())


def known(lines: list[EvidenceLine], told: Wheels = NOTHING) -> Matrix:
    return Matrix(profiles={}, issues=(), verdicts=compile_matrix(lines, (), told))


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


def test_a_symbol_decides_about_releases_that_nobody_measured() -> None:
    places = (("4.1.0", "0.1.0"), ("4.3.0", "0.1.0"), ("5.0.0", "0.1.0"), ("4.2.0", "0.3.0"))
    lines = [cell("2.0.0", *place) for place in places]
    matrix = known(lines, WITH_SYMBOL)
    found = judged(matrix, "5.0.0", "0.2.0")
    assert found.verdict is Verdict.INCOMPATIBLE
    assert "imports X of transformers (in peft/a.py), which transformers has from 4.2.0 up to 4.3.0" in found.reason
    assert "to work at 2.0.0-5.0.0-0.1.0 and at 2.0.0-4.2.0-0.3.0" in found.reason
    assert judged(matrix, "4.1.0", "0.3.0").verdict is Verdict.INCOMPATIBLE
    assert judged(matrix, "4.2.0", "0.2.0").verdict is Verdict.COMPATIBLE


def test_wheels_that_contradict_a_measurement_end_the_compilation() -> None:
    with pytest.raises(CompileError, match=r"peft >=0\.2\.0 imports X.*yet 2\.0\.0-5\.0\.0-0\.2\.0 trains under fp32"):
        known([cell("2.0.0", "5.0.0", "0.2.0")], WITH_SYMBOL)


def test_a_known_issue_that_contradicts_a_measurement_ends_it_too() -> None:
    issue = SHIPPED.issues[0].model_copy(update={"id": "x", "when": ({"peft": "<1"},), "severity": "error"})
    issue = issue.model_copy(update={"probe_sees": True, "recipes": ()})
    with pytest.raises(CompileError, match=r"known issue x: .* trains under fp32"):
        compile_matrix([cell("2.0.0", "4.0.0", "0.1.0")], [issue], NOTHING)


def test_between_what_fails_and_what_works_nothing_is_claimed() -> None:
    releases = wheels(torch="2.0.0", transformers="4.0.0", peft="0.1.0 0.2.0 0.3.0 0.4.0 0.5.0")
    lines = [cell("2.0.0", "4.0.0", peft) for peft in ("0.1.0", "0.5.0")]
    lines.append(cell("2.0.0", "4.0.0", "0.3.0", recipes={"fp32": "finite", "bf16": "poisoned"}))
    matrix = known(lines, releases)
    assert judged(matrix, "4.0.0", "0.3.0").verdict is Verdict.INCOMPATIBLE
    for peft in ("0.2.0", "0.4.0"):
        found = judged(matrix, "4.0.0", peft)
        assert found.verdict is Verdict.UNVERIFIED
        assert "it lies between what fails and what works" in found.reason
    assert judged(matrix, "4.0.0", "0.2.0", "fp32").verdict is Verdict.COMPATIBLE


def test_a_measured_boundary_is_a_fact_about_both_packages() -> None:
    lines = [cell("2.0.0", one, "0.9.0", **lacking()) for one in ("4.0.0", "4.1.0")]
    lines += [cell("2.0.0", "4.2.0", "0.9.0"), cell("2.0.0", "4.2.0", "0.8.0")]
    (found,) = [one for one in known(lines).verdicts.constraints if one.kind == "behaviour"]
    assert found.when == {"transformers": ">=4.0.0,<=4.1.0", "peft": "==0.9.0"}
    assert judged(known(lines), "4.0.0", "0.8.0").verdict is Verdict.UNVERIFIED


def test_failures_of_different_kinds_are_kept_apart() -> None:
    lines = [cell("2.0.0", "4.0.0", "0.9.0", **lacking("A")), cell("2.0.0", "4.1.0", "0.9.0", **lacking("B"))]
    lines.append(cell("2.0.0", "4.2.0", "0.9.0"))
    assert len(known(lines).verdicts.constraints) == 2


def test_what_cannot_be_installed_says_nothing_of_what_is() -> None:
    message = "Because peft depends on huggingface-hub>=1 and transformers==4.0.0 depends on huggingface-hub<1"
    lines = [
        cell("2.0.0", "4.0.0", "0.9.0", **not_installed("unsatisfiable", message)),
        cell("2.0.0", "4.1.0", "0.9.0"),
    ]
    matrix = known(lines)
    assert judged(matrix, "4.0.0", "0.9.0").verdict is Verdict.INCOMPATIBLE
    versions = {"torch": "2.0.0", "transformers": "4.0.0", "peft": "0.9.0"}
    installed = judge(Combination(python="3.11", versions=versions), matrix, "bf16")
    assert installed.verdict is Verdict.UNVERIFIED


def test_a_build_that_fails_is_a_fact_about_the_python() -> None:
    def on(python: str, transformers: str, **fields: object) -> EvidenceLine:
        place = {"python": python, "torch": "2.0.0", "transformers": transformers, "peft": "0.9.0"}
        return cell("2.0.0", transformers, "0.9.0", cell=place, **fields)

    failure = not_installed("build-failed", "Failed to build `tokenizers==0.13.3`")
    lines = [on("3.12", "4.0.0", **failure), on("3.11", "4.0.0"), on("3.12", "4.5.0")]
    (found,) = known(lines).verdicts.constraints
    assert found.when == {"transformers": "==4.0.0", "python": "==3.12"}


def test_the_last_measurement_of_a_cell_stands() -> None:
    before = cell("2.0.0", "4.0.0", "0.9.0", **lacking())
    after = cell("2.0.0", "4.0.0", "0.9.0", worker="2")
    assert newest([after, before]) == [after]


def test_what_the_resolver_chose_decides_where_it_is_not_named_either() -> None:
    need = RequiredSymbol(
        package="peft", module="huggingface_hub", symbol="X", file="a.py", releases=(("0.2.0", "0.3.0"),)
    )
    has = ProvidedSymbol(
        package="huggingface-hub", module="huggingface_hub", symbol="X", releases=(("0.9.0", "0.9.0"),)
    )
    told = wheels(
        torch="2.0.0", transformers="4.0.0 4.1.0", peft="0.1.0 0.2.0 0.3.0", **{"huggingface-hub": "0.8.0 0.9.0"}
    )
    told = told.model_copy(update={"required": (need,), "provided": (has,)})
    old = {"huggingface-hub": "0.8.0"}
    new = {"huggingface-hub": "0.9.0"}
    lines = [
        cell("2.0.0", "4.0.0", "0.3.0", **{**lacking(), "resolved": old}),
        cell("2.0.0", "4.0.0", "0.2.0", **{**lacking(), "resolved": old}),
        cell("2.0.0", "4.0.0", "0.1.0", resolved=old),
        cell("2.0.0", "4.1.0", "0.3.0", resolved=new),
        cell("2.0.0", "4.1.0", "0.2.0", resolved=new),
    ]
    matrix = known(lines, told)
    assert judged(matrix, "4.0.0", "0.3.0").verdict is Verdict.INCOMPATIBLE
    versions = {"torch": "2.0.0", "transformers": "4.0.0", "peft": "0.3.0", "huggingface-hub": "0.9.0"}
    assert judge(Combination(python="3.11", versions=versions), matrix, "bf16").verdict is not Verdict.INCOMPATIBLE


def test_a_package_that_nobody_declares_decides_where_it_is_absent() -> None:
    failure = {"type": "ModuleNotFoundError", "message": "No module named 'pkg_resources'", "package": "torch"}
    lost = {**lacking(), "import_failure": {**failure, "missing": {"module": "pkg_resources"}}}
    there = {"numpy": "2.4.6", "setuptools": "75.8.0"}
    lines = [cell("2.0.0", "4.0.0", peft) for peft in ("0.1.0", "0.3.0")]
    lines += [cell("2.0.0", "4.0.0", "0.2.0", **lost), cell("2.0.0", "4.0.0", "0.2.0", resolved=there)]
    matrix = known(lines)
    (found,) = matrix.verdicts.constraints
    assert found.when["setuptools"] == "absent"
    versions = {"torch": "2.0.0", "transformers": "4.0.0", "peft": "0.2.0", "numpy": "1.0"}
    with_it = {**versions, "setuptools": "80.0.0"}
    assert judge(Combination(python="3.11", versions=versions), matrix, "bf16").verdict is Verdict.INCOMPATIBLE
    assert judge(Combination(python="3.11", versions=with_it), matrix, "bf16").verdict is Verdict.COMPATIBLE
    # Who only names versions has not said that it is absent.
    asked = Combination(python="3.11", versions=versions, installed=False)
    assert judge(asked, matrix, "bf16").verdict is Verdict.COMPATIBLE
    assert any(one.where == "without setuptools" for one in possible_conflicts(asked, matrix, "bf16"))


def test_a_module_that_a_newer_release_dropped_is_a_fact_about_that_release() -> None:
    failure = {"type": "ModuleNotFoundError", "message": "No module named 'pkg_resources'", "package": "torch"}
    lost = {**lacking(), "import_failure": {**failure, "missing": {"module": "pkg_resources"}}}
    old, new = {"numpy": "1.26.4", "setuptools": "75.8.0"}, {"numpy": "1.26.4", "setuptools": "84.2.1"}
    lines = [cell("2.0.0", "4.0.0", peft, resolved=new) for peft in ("0.1.0", "0.3.0")]
    lines += [
        cell("2.0.0", "4.0.0", "0.2.0", **{**lost, "resolved": new}),
        cell("2.0.0", "4.0.0", "0.2.0", resolved=old),
    ]
    (found,) = known(lines).verdicts.constraints
    assert (found.when["peft"], found.when["setuptools"]) == ("==0.2.0", "==84.2.1")


def test_what_fails_for_want_of_a_gpu_says_nothing_of_machines_that_have_one() -> None:
    message = "Cannot access accelerator device when none is available."
    failure = {"type": "RuntimeError", "message": message, "package": "torch"}
    lines = [cell("2.0.0", one, "0.1.0") for one in ("4.0.0", "4.2.0")]
    lines.append(cell("2.0.0", "4.1.0", "0.1.0", **{**lacking(), "import_failure": failure}))
    matrix = known(lines)
    versions = {"torch": "2.0.0", "transformers": "4.1.0", "peft": "0.1.0"}
    assert judge(Combination(python="3.11", versions=versions), matrix, "bf16").verdict is Verdict.INCOMPATIBLE
    with_gpu = {**versions, "gpu": "1"}
    assert judge(Combination(python="3.11", versions=with_gpu), matrix, "bf16").verdict is not Verdict.INCOMPATIBLE


def test_where_every_stage_fails_no_peft_is_left_in_doubt() -> None:
    at_import = {"type": "NameError", "message": "name 'nn' is not defined", "package": "transformers"}
    at_import_line = {**lacking(), "import_failure": at_import}
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
    found = judged(known(lines), "5.2.0", "0.2.0")
    assert found.verdict is Verdict.INCOMPATIBLE
    assert "with torch 2.0 and transformers 5.0.0 to 5.2.0 nothing that was measured trains" in found.reason


def test_patch_releases_of_torch_are_one() -> None:
    lines = [cell("2.0.1", "4.1.0", "0.1.0", **lacking()), cell("2.0.1", "4.0.0", "0.1.0")]
    lines += [cell("2.1.2", "4.1.0", "0.1.0"), cell("2.1.2", "4.0.0", "0.1.0")]
    matrix = known(lines)
    other = {"torch": "2.1.0", "transformers": "4.1.0", "peft": "0.1.0"}
    assert judge(Combination(python="3.11", versions=other), matrix, "bf16").verdict is Verdict.COMPATIBLE


def test_python_tags_of_torch() -> None:
    told = wheels(torch="2.0.0", transformers="4.0.0", peft="0.1.0")
    told.releases["torch"]["2.0.0"] = Release(date="", built_for=("3.10", "3.11"))
    matrix = known([cell("2.0.0", "4.0.0", "0.1.0")], told)
    versions = {"torch": "2.0.0", "transformers": "4.0.0", "peft": "0.1.0"}
    found = judge(Combination(python="3.12", versions=versions, installed=False), matrix, "bf16")
    assert found.verdict is Verdict.INCOMPATIBLE
    assert "torch (every release) is not released for Python 3.12" in found.reason


TRANSFORMERS = tuple(f"4.{minor}.0" for minor in range(12))
PEFTS = tuple(f"0.{minor}.0" for minor in range(8))
FULL = wheels(torch="2.0.0", transformers=" ".join(TRANSFORMERS), peft=" ".join(PEFTS))
runs = st.tuples(st.integers(0, 11), st.integers(0, 11), st.integers(0, 7), st.integers(0, 7)).map(
    lambda ends: (*sorted(ends[:2]), *sorted(ends[2:]))
)


def truth(box: tuple[int, ...], transformers: str, peft: str) -> EvidenceLine:
    one, other = TRANSFORMERS.index(transformers), PEFTS.index(peft)
    fails = box[0] <= one <= box[1] and box[2] <= other <= box[3]
    return cell("2.0.0", transformers, peft, **(lacking() if fails else {}))


@given(runs, st.sets(st.tuples(st.sampled_from(TRANSFORMERS), st.sampled_from(PEFTS)), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_no_constraint_holds_a_success_and_every_measured_verdict_is_right(
    box: tuple[int, ...], measured: set[tuple[str, str]]
) -> None:
    lines = [truth(box, *place) for place in sorted(measured)]
    matrix = known(lines, FULL)
    for line in lines:
        struck = [one for one in matrix.verdicts.constraints if holds(one.when, line.versions)]
        assert bool(struck) is (line.import_failure is not None)
        found = judged(matrix, line.cell.transformers, line.cell.peft)
        assert found.verdict is (Verdict.INCOMPATIBLE if line.import_failure else Verdict.VERIFIED)


@given(runs)
@settings(max_examples=25, deadline=None)
def test_the_plan_settles_everything_with_few_measurements_and_never_wrongly(box: tuple[int, ...]) -> None:
    ends = itertools.product((TRANSFORMERS[0], TRANSFORMERS[-1]), (PEFTS[0], PEFTS[-1]))
    lines = [truth(box, *place) for place in ends]
    while wanted := plan(known(lines, FULL), "bf16", ("2.0.0",), 2):
        before = {(line.cell.transformers, line.cell.peft) for line in lines}
        assert not before & {(one.cell.transformers, one.cell.peft) for one in wanted}, "measured before"
        lines += [truth(box, one.cell.transformers, one.cell.peft) for one in wanted]
        assert len(lines) <= len(TRANSFORMERS) * len(PEFTS)
    matrix = known(lines, FULL)
    seen = any(line.import_failure for line in lines)
    for place in itertools.product(TRANSFORMERS, PEFTS):
        fails = truth(box, *place).import_failure is not None
        found = judged(matrix, *place).verdict
        # A region that no measurement met cannot be known; one that was met is found whole.
        assert (found is Verdict.INCOMPATIBLE) is (fails and seen), (place, found)
    assert len(lines) <= 48


def test_the_shipped_verdicts_are_current() -> None:
    folder = load.shipped()
    compiled = compile_folder(folder, load.evidence(folder), load.known_issues(folder))
    assert (folder / "verdicts.json").read_text(encoding="utf-8") == text_of(compiled), "vc2doctor matrix compile"


def test_every_line_of_the_evidence_is_judged_as_it_was_measured() -> None:
    for line in newest(EVIDENCE):
        if line.trains("bf16") is None:
            continue
        versions = {name: text for name, text in line.versions.items() if name != "python"}
        there = line.install == "installed"
        found = judge(Combination(python=line.cell.python, versions=versions, installed=there), SHIPPED, "bf16")
        good = found.verdict in (Verdict.VERIFIED, Verdict.COMPATIBLE)
        # What the probe cannot see outweighs that it trains.
        unseen = any(issue.id in found.issues and not issue.probe_sees for issue in SHIPPED.issues)
        assert good is (line.trains("bf16") and not unseen), (line.name, found)


def test_passing_a_stage_means_all_before_it() -> None:
    line = cell("2.0.0", "4.0.0", "0.9.0", recipes={"fp32": "finite", "bf16": "poisoned"})
    stages = ("install", "import", "train", "save", "bf16", "fp16-amp")
    assert [boundaries.passes(line, stage) for stage in stages] == [True, True, True, True, False, False]
    assert not any(boundaries.passes(cell("2", "4", "0", **lacking()), stage) for stage in stages[1:])
