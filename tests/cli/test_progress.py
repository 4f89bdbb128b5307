"""Progress in a log."""

from __future__ import annotations

import io
import re
import time

from vc2doctor.cli.progress import MAX_STEPS, log_lines


def test_a_long_step_is_written_again_and_again() -> None:
    stream = io.StringIO()
    with log_lines(stream, 0.05, quiet=0.01) as on_progress:
        on_progress("importing torch")
        time.sleep(0.4)
    lines = stream.getvalue().splitlines()
    assert 2 <= len(lines) <= 8
    assert all(re.fullmatch(r"vc2doctor: importing torch \(\d s so far\)", line) for line in lines)


def test_each_step_is_one_line_with_the_time_at_which_it_began() -> None:
    stream = io.StringIO()
    with log_lines(stream, 60.0, quiet=0.3) as on_progress:
        on_progress("reading what is installed")
        on_progress("importing torch")
        assert stream.getvalue() == "", "nothing is written in the first moment"
        time.sleep(1.2)
        on_progress("training under fp32")
    steps = ["reading what is installed (0 s", "importing torch (0 s", "training under fp32 (1 s"]
    assert stream.getvalue().splitlines() == [f"vc2doctor: {step} so far)" for step in steps]


def test_a_short_run_writes_nothing() -> None:
    stream = io.StringIO()
    with log_lines(stream, 0.2) as on_progress:
        for number in range(1000):
            on_progress(f"step {number}")
    assert stream.getvalue() == ""


def test_a_target_that_reports_a_thousand_steps_does_not_fill_the_log() -> None:
    stream = io.StringIO()
    with log_lines(stream, 60.0, quiet=0.01) as on_progress:
        time.sleep(0.1)
        for number in range(1000):
            on_progress(f"step {number}")
    assert len(stream.getvalue().splitlines()) == MAX_STEPS


def test_control_characters_of_a_target_do_not_reach_the_log() -> None:
    stream = io.StringIO()
    with log_lines(stream, 0.05, quiet=0.01) as on_progress:
        on_progress("importing \x1b[31mtorch\n")
        time.sleep(0.2)
    assert "importing �[31mtorch  (" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
