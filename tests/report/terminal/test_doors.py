"""Doors in the report for people. A named tuple stands for the model of a door: any object with its fields will do."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console

from vc2doctor.core.wording import enumerated
from vc2doctor.report.terminal import doors
from vc2doctor.report.terminal.lines import Marks, print_lines
from vc2doctor.report.terminal.recipes import Detail


class Door(NamedTuple):
    """A door with the fields that the probe reports."""

    door: str
    title: str
    outcome: str | None
    description: str
    matters: bool = False


LOOP = Door("loop", "plain loop", "passed", "2.1 s", matters=True)
TRAINER = Door("trainer", "transformers.Trainer", "passed", "3.2 s", matters=True)
BROKEN_TRAINER = TRAINER._replace(outcome="failed", description="ImportError: cannot import name 'PeftMixedModel'")
DPO = Door("dpo", "trl's DPOTrainer", "imported", "no step was tried")
GRPO = Door("grpo", "trl's GRPOTrainer", "failed", "ImportError: \x1b[31mno [bold]name[/bold]")
KBIT = Door("kbit", "prepare_model_for_kbit_training", "unsupported", "bitsandbytes is not installed")
WRAPPERS = ("multi-GPU wrappers", "flash attention")


def shown(*tried: Door, detail: Detail = "normal", width: int = 80, not_tried: Sequence[str] = ()) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None)
    print_lines(doors.render(tried, Marks(ascii_only=False), detail, not_tried), console)
    return file.getvalue()


def test_verdict_names_what_was_tried_and_what_was_not() -> None:
    assert doors.tried((LOOP, TRAINER, DPO, KBIT), WRAPPERS) == (
        "plain loop and transformers.Trainer were tried; not tried: trl's DPOTrainer, prepare_model_for_kbit_training,"
        " multi-GPU wrappers, flash attention"
    )


def test_a_door_that_is_named_twice_is_shown_once_and_an_interrupted_one_was_not_tried() -> None:
    assert doors.tried((LOOP, DPO, TRAINER._replace(outcome=None)), ("trl's DPOTrainer", "flash attention")) == (
        "plain loop was tried; not tried: trl's DPOTrainer, transformers.Trainer, flash attention"
    )
    assert "    -  transformers.Trainer    not measured 3.2 s\n" in shown(TRAINER._replace(outcome=None))


def test_what_nothing_points_to_is_counted_and_a_single_one_is_named() -> None:
    unlikely = ("prepare_model_for_kbit_training", "flash attention")
    assert doors.tried((LOOP, DPO, KBIT), ("flash attention",), unlikely) == (
        "plain loop was tried; not tried: trl's DPOTrainer; 2 other ways to train were not tried, and nothing"
        " here points to them"
    )
    assert doors.tried((LOOP,), ("flash attention",), unlikely) == "plain loop was tried; not tried: flash attention"
    assert doors.tried((LOOP, KBIT), ("flash attention",), unlikely, "your code uses none of them") == (
        "plain loop was tried; 2 other ways to train were not tried, and your code uses none of them"
    )


def test_one_door_was_tried_and_nothing_is_left() -> None:
    assert doors.tried((LOOP,), ()) == "plain loop was tried"


def test_door_that_fails_and_does_not_matter_is_named() -> None:
    assert doors.tried((LOOP, TRAINER, GRPO), ()) == (
        "plain loop and transformers.Trainer were tried; not fit for trl's GRPOTrainer"
    )


def test_nothing_passed() -> None:
    assert doors.tried((DPO,), ()) == "nothing was tried; not tried: trl's DPOTrainer"


def test_three_names_are_listed_with_commas() -> None:
    assert enumerated(["A", "B", "C"]) == "A, B and C"


def test_doors_that_matter_have_rows_and_the_others_one_line() -> None:
    lines = shown(LOOP, BROKEN_TRAINER, DPO, GRPO, KBIT, LOOP._replace(matters=False), width=160).splitlines()
    assert lines == [
        "    ✓  plain loop              passed       2.1 s",
        "    ✗  transformers.Trainer    failed       ImportError: cannot import name 'PeftMixedModel'",
        (
            "    4 other doors: 1 passed, 1 imported only (trl's DPOTrainer), 1 unsupported"
            " (prepare_model_for_kbit_training), 1 failed (trl's GRPOTrainer); see -v"
        ),
    ]


def test_verbose_report_has_a_row_for_each_door_and_unused_ones_do_not_look_like_failures() -> None:
    text = shown(LOOP, DPO, GRPO, detail="all", width=160)
    assert "✗" not in text
    assert "    ·  trl's GRPOTrainer       failed       not used here: ImportError: \ufffd[31mno" in text
    assert "[bold]name[/bold]" in text
    assert "    -  trl's DPOTrainer        imported     no step was tried\n" in text
    assert "see -v" not in text


def test_verbose_table_is_as_wide_as_its_longest_name_and_names_what_no_door_covers() -> None:
    text = shown(LOOP, KBIT, detail="all", width=160, not_tried=(KBIT.title, *WRAPPERS))
    assert text.splitlines() == [
        "    ✓  plain loop                      passed       2.1 s",
        "    -  prepare_model_for_kbit_training unsupported  bitsandbytes is not installed",
        "    no door leads through: multi-GPU wrappers, flash attention",
    ]


def test_brief_report_leaves_the_count_to_the_verdict_line_and_shows_first_clauses() -> None:
    trainer = TRAINER._replace(description="losses 4.5, 4.4; 100% of the trainable elements moved")
    assert shown(trainer, DPO, KBIT, GRPO, detail="brief").splitlines() == [
        "    ✓ transformers.Trainer: passed, losses 4.5, 4.4",
    ]


def test_rows_fit_40_columns() -> None:
    text = shown(LOOP, BROKEN_TRAINER, DPO, GRPO, width=40)
    assert all(len(line) <= 45 for line in text.splitlines()), text
