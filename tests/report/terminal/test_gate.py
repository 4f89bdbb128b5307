"""What a gate says to people: the verdict, every warning, and what is not known of the command."""

from __future__ import annotations

from typing import Any

import pytest

from tests.facts import examination, probe_run
from vc2doctor.checks.context import Examination
from vc2doctor.commands.examine import report_on
from vc2doctor.commands.report import Gate
from vc2doctor.core.invocation import Invocation
from vc2doctor.report.terminal import gate
from vc2doctor.report.terminal.lines import Marks, plain

UNKNOWN = "  Code          The precision of the code is not known."


def brief(examined: Examination, **fields: Any) -> list[str]:  # noqa: ANN401
    decision = Gate(
        **{"starts": "python train.py", "decision": "run", "reason": "the verdict is fit", "refuse_exit": 125, **fields}
    )
    report = report_on(examined, 1.0).model_copy(update={"gate": decision})
    return [plain(line) for line in gate.brief(report, Marks(ascii_only=False))]


def test_command_that_runs_shows_every_warning_and_points_to_no_option() -> None:
    lines = brief(examination(probe=probe_run()))
    assert "1 warning" in lines[0]
    assert lines[1].startswith("  ! VC009 warning  no GPU was examined")
    assert not any("see -v" in line for line in lines[1:])


@pytest.mark.parametrize(
    ("planned", "line"),
    [
        ({}, f"{UNKNOWN} bf16 was tried; name yours with --precision."),
        (
            {"invocation": Invocation(verb="gate", options=(("--precision", "bf16"),))},
            f"{UNKNOWN} bf16 is the one that you named.",
        ),
        ({"code_recipes": {".": "bf16"}}, "  Code          the code trains under bf16."),
        ({"code_recipes": {"train.py": "bf16"}}, "  Code          train.py trains under bf16."),
        (
            {"code": "src", "code_recipes": {"train.py": "bf16"}, "code_silenced": 2},
            "  Code          src: train.py trains under bf16. 2 findings silenced.",
        ),
    ],
)
def test_fit_report_says_what_is_known_of_the_precision_of_the_code(planned: dict[str, Any], line: str) -> None:
    assert line in brief(examination(probe=probe_run(), planned=planned))
