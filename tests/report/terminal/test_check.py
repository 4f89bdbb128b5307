"""The report on an examination for people: the verdict, the one command, why, and then the rest."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tests.facts import MISSING_SYMBOL, examination, failed, failure, probe_run, recipe, step
from vc2doctor.checks.context import Examination
from vc2doctor.commands.examine import report_on
from vc2doctor.core.invocation import Invocation
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.facts import RecipeRun
from vc2doctor.report import terminal
from vc2doctor.report.terminal import check
from vc2doctor.report.terminal.lines import Marks, plain, print_lines
from vc2doctor.target.shared.recipes import DEFAULT_RECIPES

BROKEN = examination(
    {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.17.0", "numpy": "2.4.6", "accelerate": "0.34.2"},
    probe=probe_run(recipes=(), adapter=None, import_package="peft", import_failure=MISSING_SYMBOL),
)
VERIFIED = {
    "torch": "2.13.0",
    "transformers": "4.40.1",
    "peft": "0.10.0",
    "numpy": "1.26.4",
    "accelerate": "1.15.0",
    "huggingface-hub": "0.36.2",
    "jinja2": "3.1.6",
    "safetensors": "0.8.0",
    "setuptools": "84.2.1",
    "tokenizers": "0.19.1",
}
"""A cell of the matrix."""
NESTED = failed("bf16-in-fp16-autocast", failure("Unexpected floating ScalarType in at::autocast::prioritize"))
OTHERS = len(DEFAULT_RECIPES) - 1
ALWAYS_SAME = f"{OTHERS} other recipes: {OTHERS - 1} finite, 1 not finite (bf16-in-fp16-autocast); see -v"


def shown(examined: Examination, width: int = 80, *, verbose: bool = False) -> list[str]:
    """Return the lines that a terminal of this width shows."""
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None)
    print_lines(check.render(report_on(examined, 1.0), Marks(ascii_only=False), verbose=verbose), console)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 80, 160])
def test_first_the_verdict_then_the_one_command_then_why(width: int) -> None:
    lines = shown(BROKEN, width)
    assert lines[0].startswith("✗ Not fit to train under bf16. 2 errors,")
    command = next(index for index, line in enumerate(lines) if "pip install" in line)
    assert lines[command] == "    /env/bin/python -m pip install peft==0.13.2"
    assert command == {40: 3, 80: 2, 160: 1}[width], "right below the verdict, which a narrow terminal wraps"
    assert lines[command + 1] == ""
    assert lines[command + 2].startswith("  ✗ VC005 error  peft 0.17.0 with")


def test_command_of_the_second_line_is_printed_once_and_alternatives_say_or() -> None:
    lines = shown(BROKEN, 200)
    assert sum("install peft==0.13.2" in line for line in lines) == 1
    others = [index for index, line in enumerate(lines) if line.startswith("        ") and "pip install" in line]
    assert others, "the finding has alternatives"
    assert all(lines[index - 1] == "      or" for index in others)


def test_error_that_the_same_command_fixes_takes_no_evidence() -> None:
    (line,) = [line for line in shown(BROKEN, 200) if "✗ VC005" in line and "import HybridCache" in line]
    assert line.endswith("The same command fixes it.")


def test_fit_report_is_short_at_80_columns_and_folds_what_nobody_uses() -> None:
    lines = shown(examination(probe=probe_run(NESTED)))
    assert len(lines) <= 20
    assert f"    {ALWAYS_SAME}" in lines
    assert not any("✗" in line or "error" in line for line in lines)
    assert any(line.startswith("    ✓ bf16 (decides): finite, loss 4.5000 █") for line in lines)


def test_verbose_report_shows_every_recipe_and_finding() -> None:
    lines = shown(examination(probe=probe_run(NESTED)), verbose=True)
    assert all(any(f" {name} " in line for line in lines) for name in DEFAULT_RECIPES)
    assert any("·  bf16-in-fp16-autocast   error " in line for line in lines), "it is not marked as a failure"
    assert any("save, reload, generate" in line for line in lines)
    assert any("vc2doctor check --require gpu" in line for line in lines)
    assert any("https://" in line for line in lines)
    assert not any("see -v" in line for line in lines)


def test_recipes_that_the_user_named_have_rows() -> None:
    invocation = Invocation(verb="probe", options=(("--recipes", "fp16-amp"),))
    lines = shown(examination(probe=probe_run(NESTED), planned={"invocation": invocation}))
    assert any("✓ fp16-amp: finite" in line for line in lines)


def test_all_recipes_that_fail_in_the_same_way_are_one_row_and_one_finding() -> None:
    runs = [failed(name, failure("no", file="mymodel.py", line=9)) for name in DEFAULT_RECIPES]
    lines = shown(examination(probe=probe_run(*runs), planned={"entry": "mymodel:build"}), 160)
    assert lines[0].startswith("✗ mymodel:build fails under every precision that was tried. 1 error")
    assert "Start at mymodel.py:9." in lines[1]
    assert [line for line in lines if "mymodel.py:9" in line and "✗" in line] == [
        f"    ✗  all {len(DEFAULT_RECIPES)} recipes           error        RuntimeError: no, raised at mymodel.py:9"
    ]


def test_function_that_cannot_be_loaded_is_no_verdict_on_the_environment() -> None:
    probe = probe_run(recipes=(), adapter=None, load_failure=failure("no GPU for you"))
    lines = shown(examination(probe=probe, planned={"entry": "mymodel:build"}))
    assert lines[0].startswith("✗ mymodel:build cannot be loaded, so nothing was trained. 1 error")


@pytest.mark.parametrize(
    ("versions", "start"),
    [
        (
            VERIFIED,
            "! Not proven to train under bf16: versions alone (they were measured to train); nothing was tried",
        ),
        (
            {**VERIFIED, "transformers": "4.40.0"},
            "! Not proven to train under bf16: versions alone (inferred from measured ones); nothing was tried",
        ),
        ({**VERIFIED, "torch": "9.9"}, "! Nothing was tried, and nothing shows that training under bf16 works."),
    ],
)
def test_without_a_probe_the_verdict_says_that_nothing_was_tried(versions: dict[str, str], start: str) -> None:
    lines = shown(examination(versions, planned={"probe": False}), 240)
    assert lines[0].startswith(start)
    assert "    vc2doctor check --probe" in lines[1:3], "right below the verdict"


def test_measured_versions_are_fit_if_the_user_accepts_them() -> None:
    lines = shown(examination(VERIFIED, planned={"probe": False, "accept": "versions"}), 240)
    start = "! Fit to train under bf16 by versions alone (they were measured to train); nothing was tried (--no-probe)."
    assert lines[0].startswith(start)


def headline_with_fault_of_code(bf16: RecipeRun) -> str:
    """Return the first line of the report on code without loss scaling, where the recipe that decides ended so."""
    fault = Finding(
        id="VC104",
        severity=Severity.ERROR,
        message="the loop computes in float16 without loss scaling",
        evidence=(),
        remedy="Scale.",
        url="https://example.org",
        path="loop.py",
    )
    examined = examination(VERIFIED, probe=probe_run(recipe("fp32"), bf16))
    return shown(examined.model_copy(update={"code": (fault,)}), 200)[0]


def test_a_recipe_that_trains_is_not_blamed_for_a_fault_of_the_code() -> None:
    expected = "✗ Not fit to train: the fault is in the training code; this environment trains under bf16. 1 error"
    assert headline_with_fault_of_code(recipe("bf16")).startswith(expected)


def test_a_recipe_that_fails_is_named_beside_a_fault_of_the_code() -> None:
    assert headline_with_fault_of_code(failed("bf16", failure())).startswith("✗ Not fit to train under bf16. 2 errors")


def test_exit_code_of_a_fit_environment_is_explained() -> None:
    lines = shown(examination(probe=probe_run(), planned={"fail_on": "warning"}), 260)
    assert lines[0].startswith("! Fit to train"), "no good mark before a refusal"
    assert "Refused (exit code 1): --fail-on warning counts VC009" in lines[0]
    assert lines[1] == "    vc2doctor check --require gpu"


def test_every_printed_command_of_the_doctor_repeats_the_options() -> None:
    invocation = Invocation(program=("uvx", "vc2doctor"), options=(("--python", "my env"), ("--device", "cpu")))
    planned: dict[str, Any] = {"invocation": invocation, "device": "cpu"}
    examined = examination(probe=probe_run(recipe("bf16", steps=(step(0, None),))), planned=planned)
    commands = [line.strip() for line in shown(examined, verbose=True) if "vc2doctor check" in line]
    assert commands == [
        "uvx vc2doctor check --python 'my env' --device cpu --precision bf16-scaled",
        "uvx vc2doctor check --python 'my env' --require gpu",
    ]


def test_verdict_alone_is_one_line_of_plain_text() -> None:
    assert terminal.verdict_text("check", report_on(BROKEN, 1.0)).startswith(
        "✗ Not fit to train under bf16. 2 errors, 1 w"
    )


def with_errors(number: int) -> list[str]:
    report = report_on(examination(probe=probe_run()), 1.0)
    errors = [
        Finding(
            id="VC104",
            severity=Severity.ERROR,
            message=f"fault {index}",
            evidence=(),
            remedy=f"Do {index}.",
            url="https://example.org",
            path=f"{index}.py",
            line=index,
        )
        for index in range(number)
    ]
    report = report.model_copy(update={"verdict": "unfit", "exit_code": 1, "findings": (*errors, *report.findings)})
    return [plain(line) for line in check.render(report, Marks(ascii_only=False))]


def test_each_error_of_the_code_has_its_place_below_the_verdict_and_many_are_counted() -> None:
    assert with_errors(1)[1:3] == ["    Do 0.", ""]
    assert with_errors(2)[1:4] == ["    0.py:0: Do 0.", "    1.py:1: Do 1.", ""]
    lines = with_errors(5)
    assert lines[1:5] == ["    0.py:0: Do 0.", "    1.py:1: Do 1.", "    2.py:2: Do 2.", "    and 2 more errors below"]
    assert lines[5] == ""
