"""Progress in a log."""

from __future__ import annotations

import io
import re
import time

from vc2doctor.cli.progress import log_lines


def test_a_long_step_is_written_again_and_again() -> None:
    stream = io.StringIO()
    with log_lines(stream, 0.05) as on_progress:
        on_progress("importing torch")
        time.sleep(0.4)
    lines = stream.getvalue().splitlines()
    assert 2 <= len(lines) <= 8
    assert all(re.fullmatch(r"vc2doctor: importing torch \(\d s so far\)", line) for line in lines)


def test_many_short_steps_write_no_line_each() -> None:
    stream = io.StringIO()
    with log_lines(stream, 0.2) as on_progress:
        for number in range(1000):
            on_progress(f"step {number}")
    assert stream.getvalue() == ""


def test_control_characters_of_a_target_do_not_reach_the_log() -> None:
    stream = io.StringIO()
    with log_lines(stream, 0.05) as on_progress:
        on_progress("importing \x1b[31mtorch\n")
        time.sleep(0.2)
    assert "importing �[31mtorch  (" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
