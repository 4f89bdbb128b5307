"""The two formats of the report."""

from __future__ import annotations

import io
import json
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from tests.facts import MISSING_SYMBOL, child, cuda_device, examination, gpu, probe_run, recipe, step
from vc2doctor.checks.context import Examination
from vc2doctor.commands.examine import report_on
from vc2doctor.commands.report import Report
from vc2doctor.environment.model import Nvidia
from vc2doctor.probe.facts import Headroom, Measure, PeakValue, StressRun
from vc2doctor.report import formats
from vc2doctor.report.schema import schema
from vc2doctor.report.terminal import check
from vc2doctor.report.terminal.lines import Marks, print_lines

BROKEN = examination(
    {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.17.0", "numpy": "2.4.6", "accelerate": "0.34.2"},
    probe=probe_run(recipes=(), adapter=None, import_package="peft", import_failure=MISSING_SYMBOL),
)
NASTY = "\x1b[31mred\x1b]0;title\x07 [bold]not markup[/bold] <b>"


def report(made: Examination) -> Report:
    return report_on(made, 1.0)


def plain(made: Report, width: int = 100, *, terminal: bool = False, **options: Any) -> str:  # noqa: ANN401
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, **options)
    print_lines(check.render(made, Marks.of(console)), console)
    return file.getvalue()


class TestText:
    """For people."""

    def test_a_good_environment(self) -> None:
        told = plain(report(examination(probe=probe_run())))
        assert told.startswith("vc2doctor ")
        assert "bf16 (decides)" in told
        assert told.rstrip().endswith("Fit to train under bf16. 1 warning.")

    def test_a_broken_one_names_pair_symbol_and_mend(self) -> None:
        told = plain(report(BROKEN))
        assert "peft 0.17.0 with transformers 4.36.2" in told
        assert "transformers has no EncoderDecoderCache" in told
        assert "/env/bin/python -m pip install transformers==4.57.6" in told
        assert "Not fit to train under bf16. 2 errors, 1 warning." in told
        assert told.count("pip install transformers==4.57.6") == 1, "what mends both is told once"

    def test_plain_when_piped(self) -> None:
        told = plain(report(BROKEN))
        assert "\x1b" not in told

    def test_nothing_is_wrapped_when_piped(self) -> None:
        assert plain(report(BROKEN), width=30) == plain(report(BROKEN), width=500)

    def test_colour_on_a_terminal_and_none_with_no_color(self) -> None:
        assert "\x1b[" in plain(report(BROKEN), terminal=True)
        assert "\x1b[3" not in plain(report(BROKEN), terminal=True, no_color=True)

    @pytest.mark.parametrize("width", [40, 80, 120])
    def test_lines_fit_a_terminal_except_commands_and_links(self, width: int) -> None:
        told = plain(report(BROKEN), width=width, terminal=True, no_color=True, legacy_windows=False)
        for line in told.splitlines():
            bare = "".join(part.split("m", 1)[-1] for part in line.split("\x1b[")) if "\x1b" in line else line
            if "pip install" not in bare and "https://" not in bare and "vc2doctor check" not in bare:
                assert len(bare) <= width, bare

    def test_a_command_is_never_broken(self) -> None:
        told = plain(report(BROKEN), width=40, terminal=True, no_color=True, color_system=None)
        assert "        /env/bin/python -m pip install transformers==4.57.6\n" in told

    def test_what_the_target_says_cannot_reach_the_terminal(self) -> None:
        probe = probe_run(
            recipe("bf16", steps=(), unsupported=NASTY),
            ending="signal",
            child=child(ending="signal", code=None, signal="SIGSEGV", errors=NASTY),
            stage=NASTY,
        )
        told = plain(report(examination(probe=probe)))
        assert "\x1b" not in told
        assert "\x07" not in told
        assert "[bold]not markup[/bold] <b>" in told

    def test_an_ascii_terminal_gets_ascii_marks(self) -> None:
        lines = check.render(report(examination(probe=probe_run())), Marks(ascii_only=True))
        assert all(line.text.plain.isascii() for line in lines)

    def test_gpus_are_listed(self) -> None:
        nvidia = Nvidia(driver="580.95.05", cuda=(13, 0), gpus=(gpu("NVIDIA H200", (9, 0)),))
        told = plain(report(examination(nvidia=nvidia)))
        assert "NVIDIA H200, compute capability 9.0, 16 GiB, driver 580.95.05 (CUDA 13.0)" in told


class TestJson:
    """For programs."""

    @pytest.mark.parametrize("made", [BROKEN, examination(probe=probe_run()), examination({})])
    def test_it_follows_its_schema_and_comes_back_whole(self, made: Examination) -> None:
        told = formats.render("check", report(made), "json")
        jsonschema.validate(json.loads(told), schema("report"))
        assert Report.model_validate_json(told) == report(made)

    def test_the_promised_keys_in_their_order(self) -> None:
        told = json.loads(formats.render("check", report(BROKEN), "json"))
        promised = ["schema", "verdict", "environment", "probe", "findings"]
        assert [key for key in told if key in promised] == promised
        assert told["schema"] == 2
        keys = ["id", "severity", "message", "evidence", "remedy", "url", "path", "line"]
        for finding in told["findings"]:
            assert [key for key in finding if key in keys] == keys

    def test_recipes_have_their_outcomes(self) -> None:
        probe = probe_run(recipe("fp16-unscaled", steps=(step(0, 4.5, parameters_finite=False),)))
        told = json.loads(formats.render("check", report(examination(probe=probe)), "json"))
        outcomes = {entry["recipe"]: entry["outcome"] for entry in told["probe"]["recipes"]}
        assert outcomes["fp16-unscaled"] == "poisoned"
        assert list(outcomes) == list(probe_recipes())

    def test_it_is_the_same_every_time(self) -> None:
        assert formats.render("check", report(BROKEN), "json") == formats.render("check", report(BROKEN), "json")


def probe_recipes() -> list[str]:
    return [run.recipe for run in probe_run().recipes]


class TestProbe:
    """The probe's part."""

    HEADROOM = Headroom(
        tightest=PeakValue(module="layers.11", op="add", largest=131008.0),
        layers={"layers.0": 8.0, "layers.11": 131008.0},
    )

    def test_the_miniatures_range_is_not_shown(self) -> None:
        assert "headroom" not in plain(report(examination(probe=probe_run(headroom=self.HEADROOM))))

    def test_a_checkpoints_range_by_layer(self) -> None:
        probe = probe_run(recipes=(), adapter=None, headroom=self.HEADROOM)
        planned = {"checkpoint": "/models/mine", "trains": False, "precision": "fp16-amp"}
        told = plain(report(examination(probe=probe, planned=planned)))
        assert "float16 headroom                     -1.0 bits: |x| up to 1.3101e+05 in layers.11 (add)" in told
        assert "  layers.0              13.0 bits    ####" in told
        assert told.splitlines()[-1].startswith("✗ Not fit to train under fp16-amp.")

    def test_measures_of_a_gpu(self) -> None:
        measures = (
            Measure(name="bf16 speed", status="measured", value=0.98, description="bfloat16 700 TFLOP/s"),
            Measure(name="flash-attention", status="unsupported", description="No module named 'flash_attn'"),
        )
        told = plain(report(examination(probe=probe_run(device=cuda_device(), measures=measures))))
        assert "·  bf16 speed              measured     bfloat16 700 TFLOP/s" in told
        assert "-  flash-attention         unsupported  No module named 'flash_attn'" in told
        assert "bf16 speed" not in plain(report(examination(probe=probe_run(measures=measures))))

    def test_margins(self) -> None:
        overflowing = recipe("fp16-amp", steps=(step(0, None, parameters_finite=False),))
        stress = StressRun(plant="stress4x", headroom=self.HEADROOM, recipes=(recipe("fp32"), overflowing))
        told = plain(report(examination(probe=probe_run(stress=(stress,)))))
        assert "stress4x                -1.00 bits   fp32 finite, fp16-amp non-finite" in told
        assert "Fit to train under bf16." in told, "a margin is no verdict"

    def test_a_row_is_wrapped_beside_its_name(self) -> None:
        broken = recipe("fp16-amp", steps=(step(0, None, parameters_finite=False),))
        lines = plain(report(examination(probe=probe_run(broken))), 80, terminal=True, color_system=None).splitlines()
        assert all(len(line) <= 80 for line in lines if "https://" not in line and " -m pip " not in line)
        row = next(line for line in lines if "fp16-amp " in line and "non-finite" in line)
        assert "the loss of step 0 is not finite" in row
