"""The course of a loss in a few characters."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.facts import examination, probe_run, recipe, step
from vc2doctor.commands.examine import report_on
from vc2doctor.probe.outcome import RecipeOutcome, StepPoint, outcomes
from vc2doctor.report.terminal import check
from vc2doctor.report.terminal.lines import Marks, print_lines
from vc2doctor.report.terminal.sparkline import MAX_CHARACTERS, brief, sparkline


def points(*losses: float | None, batches: int = 1) -> tuple[StepPoint, ...]:
    return tuple(
        StepPoint(step=number, batch=number % batches, loss=loss, gradient_norm=None, taken=True)
        for number, loss in enumerate(losses)
    )


@pytest.mark.parametrize(
    ("losses", "line"),
    [
        ((8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0), "█▇▆▅▄▃▂▁"),
        ((4.5, None, 4.4), "█×▁"),  # noqa: RUF001 - the sign is meant
        ((None, None), "××"),  # noqa: RUF001
        ((4.5, 4.5), "▁▁"),
        ((4.5,), ""),
        ((), ""),
    ],
)
def test_loss_is_one_character_for_each_step(losses: tuple[float | None, ...], line: str) -> None:
    assert sparkline(points(*losses)) == line


def test_batches_that_take_turns_do_not_make_a_falling_loss_jump() -> None:
    assert sparkline(points(1.0, 9.0, 0.9, 8.9, 0.8, 8.8, batches=2)) == "█▆▅▃▁"


def test_long_course_is_cut() -> None:
    assert len(sparkline(points(*map(float, range(100))))) == MAX_CHARACTERS


def test_short_form_names_the_losses_that_the_description_names() -> None:
    steps = tuple(step(number, loss, batch=number % 2) for number, loss in enumerate((4.5, 4.7, 4.4, 4.6, 4.0, 4.2)))
    (outcome,) = outcomes(probe_run().model_copy(update={"recipes": (recipe("fp32", steps=steps),)}))
    assert outcome.description == "the loss fell from 4.6000 to 4.1000 in 6 steps"
    assert brief(outcome) == "loss 4.6000 █▇▇▄▁ 4.1000 in 6 steps"


def test_short_form_is_for_losses_that_fell() -> None:
    assert not brief(RecipeOutcome(recipe="bf16", outcome="weak", description="", steps=points(4.0, 5.0)))


@pytest.mark.parametrize(("encoding", "is_drawn"), [("utf-8", True), ("ascii", False), ("cp1252", False)])
def test_course_is_drawn_where_the_terminal_can_encode_it(encoding: str, is_drawn: bool) -> None:
    report = report_on(examination(probe=probe_run()), 1.0)
    for verbose in (False, True):
        bytes_ = io.BytesIO()
        with io.TextIOWrapper(bytes_, encoding=encoding, errors="strict") as stream:
            console = Console(file=stream, width=100, force_terminal=True, color_system=None)
            print_lines(check.render(report, Marks.of(console), verbose=verbose), console)
            stream.flush()
            text = bytes_.getvalue().decode(encoding)
        assert ("█" in text) == is_drawn
        assert "4.5000" in text
