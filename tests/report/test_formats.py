"""The report on an examination as text and as JSON."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from tests.facts import (
    MISSING_SYMBOL,
    child,
    cuda_device,
    distribution,
    environment,
    examination,
    failure,
    gpu,
    probe_run,
    recipe,
    step,
)
from vc2doctor.checks.context import Examination
from vc2doctor.commands.examine import report_on
from vc2doctor.commands.report import Report
from vc2doctor.environment.model import Nvidia
from vc2doctor.matrix.coverage import NotJudged
from vc2doctor.probe.facts import Headroom, Measure, PeakValue, StressRun, VariantRun
from vc2doctor.probe.failed_step import NoSignal
from vc2doctor.probe.gradient_range import GradientRange
from vc2doctor.probe.log_ratio import LogRatio, LogRatios
from vc2doctor.report import formats
from vc2doctor.report.schema import schema
from vc2doctor.report.terminal import check
from vc2doctor.report.terminal.lines import Marks, print_lines

BROKEN = examination(
    {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.17.0", "numpy": "2.4.6", "accelerate": "0.34.2"},
    probe=probe_run(recipes=(), adapter=None, import_package="peft", import_failure=MISSING_SYMBOL),
)
NASTY = "\x1b[31mred\x1b]0;title\x07 [bold]not markup[/bold] <b>"


def report(examined: Examination) -> Report:
    return report_on(examined, 1.0)


def rendered(examined: Report, width: int = 100, *, terminal: bool = False, **options: Any) -> str:  # noqa: ANN401
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, **options)
    print_lines(check.render(examined, Marks.of(console)), console)
    return file.getvalue()


class TestText:
    """The report for people."""

    def test_good_environment_begins_with_the_verdict(self) -> None:
        text = rendered(report(examination(probe=probe_run())))
        assert text.startswith(
            "✓ Fit to train under bf16: a plain loop was tried; 2 other ways to train were not tried"
        )
        assert text.splitlines()[0].endswith(" 1 warning. Judged as: plain language model (no code given).")
        assert "bf16 (decides)" in text

    def test_a_weak_training_is_named_in_the_verdict_and_its_reason_is_printed_once(self) -> None:
        reason = "the gradients of 8 of 9 trainable tensors are 0 or nothing but rounding (the first is emb.weight)"
        silent = NoSignal(
            node="SoftmaxBackward0", file="m.py", line=3, tensors=8, of=9, first="emb.weight", exact=False
        )
        runs = (recipe("fp32", no_signal=silent), recipe("bf16", no_signal=silent))
        text = rendered(report(examination(probe=probe_run(recipes=runs), planned={"entry": "m.py:build"})))
        assert text.startswith(f"! The steps run under bf16, but they hardly train the model: {reason}.")
        assert "as under fp32" in text
        assert text.count("SoftmaxBackward0 (m.py:3) passes no gradient on") == 2, "in the finding and in the first row"

    def test_what_the_verdict_does_not_cover_is_named_in_its_line_and_with_the_matrix(self) -> None:
        requires = ("tqdm", "numpy", 'xformers; extra == "all"')
        transformers = distribution("transformers", "4.40.1", requires=requires)
        versions = {"torch": "2.13.0", "peft": "0.10.0", "xformers": "0.0.29", "tqdm": "4.67.1", "black": "25.1"}
        others = tuple(distribution(name, version) for name, version in versions.items())
        examined = examination(probe=probe_run())
        facts = environment(distributions=(transformers, *others))
        made = report(examined.model_copy(update={"environment": facts}))
        assert made.not_judged == NotJudged(
            imported={"xformers": "0.0.29"}, common={"tqdm": "4.67.1"}, others=("black",)
        )
        assert "Not judged" not in rendered(made), "the training was seen to work"
        text = rendered(made.model_copy(update={"probe": None}))
        assert "; not judged: xformers 0.0.29; nothing was tried (--no-probe)." in text
        assert "  Not judged    xformers 0.0.29 and 2 other packages\n" in text
        assert "  Matrix        measured up to 20" in text

    def test_broken_environment_names_pair_symbol_and_command(self) -> None:
        text = rendered(report(BROKEN))
        assert "peft 0.17.0 with transformers 4.36.2" in text
        assert "transformers has no EncoderDecoderCache" in text
        assert "/env/bin/python -m pip install peft==0.13.2" in text
        assert "Not fit to train under bf16. 2 errors, 1 warning." in text
        assert text.count("pip install peft==0.13.2") == 1, "one remedy for two findings is printed once"

    def test_pipe_gets_no_color(self) -> None:
        text = rendered(report(BROKEN))
        assert "\x1b" not in text

    def test_pipe_gets_no_wrapping(self) -> None:
        assert rendered(report(BROKEN), width=30) == rendered(report(BROKEN), width=500)

    def test_terminal_gets_color_unless_no_color_is_set(self) -> None:
        assert "\x1b[" in rendered(report(BROKEN), terminal=True)
        assert "\x1b[3" not in rendered(report(BROKEN), terminal=True, no_color=True)

    @pytest.mark.parametrize("width", [40, 80, 120])
    def test_lines_fit_the_terminal_except_commands_and_links(self, width: int) -> None:
        text = rendered(report(BROKEN), width=width, terminal=True, no_color=True, legacy_windows=False)
        for line in text.splitlines():
            visible = "".join(part.split("m", 1)[-1] for part in line.split("\x1b[")) if "\x1b" in line else line
            if "pip install" not in visible and "https://" not in visible and "vc2doctor check" not in visible:
                assert len(visible) <= width, visible

    def test_command_is_never_wrapped(self) -> None:
        text = rendered(report(BROKEN), width=40, terminal=True, no_color=True, color_system=None)
        assert "    /env/bin/python -m pip install peft==0.13.2\n" in text

    def test_control_characters_of_the_target_do_not_reach_the_terminal(self) -> None:
        probe = probe_run(
            recipe("bf16", steps=(), unsupported=NASTY),
            ending="signal",
            child=child(ending="signal", code=None, signal="SIGSEGV", errors=NASTY),
            stage=NASTY,
        )
        text = rendered(report(examination(probe=probe)))
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "[bold]not markup[/bold] <b>" in text

    def test_ascii_terminal_gets_ascii_marks(self) -> None:
        lines = check.render(report(examination(probe=probe_run())), Marks(ascii_only=True))
        assert all(line.text.plain.isascii() for line in lines)

    def test_gpu_is_listed_with_capability_memory_and_driver(self) -> None:
        nvidia = Nvidia(driver="580.95.05", cuda=(13, 0), gpus=(gpu("NVIDIA H200", (9, 0)),))
        text = rendered(report(examination(nvidia=nvidia)))
        assert "NVIDIA H200, compute capability 9.0, 16 GiB, driver 580.95.05 (CUDA 13.0)" in text


class TestJson:
    """The report for programs."""

    @pytest.mark.parametrize("examined", [BROKEN, examination(probe=probe_run()), examination({})])
    def test_json_follows_its_schema_and_can_be_read_back(self, examined: Examination) -> None:
        text = formats.render("check", report(examined), "json")
        jsonschema.validate(json.loads(text), schema("report"))
        assert Report.model_validate_json(text) == report(examined)

    def test_documented_keys_have_their_order(self) -> None:
        document = json.loads(formats.render("check", report(BROKEN), "json"))
        documented = ["schema", "verdict", "environment", "probe", "findings"]
        assert [key for key in document if key in documented] == documented
        assert document["schema"] == 2
        keys = ["id", "severity", "message", "evidence", "remedy", "url", "path", "line"]
        for finding in document["findings"]:
            assert [key for key in finding if key in keys] == keys

    def test_every_recipe_has_its_outcome(self) -> None:
        probe = probe_run(recipe("fp16-unscaled", steps=(step(0, 4.5, parameters_finite=False),)))
        document = json.loads(formats.render("check", report(examination(probe=probe)), "json"))
        outcomes = {entry["recipe"]: entry["outcome"] for entry in document["probe"]["recipes"]}
        assert outcomes["fp16-unscaled"] == "poisoned"
        assert list(outcomes) == list(probe_recipes())

    def test_json_is_the_same_every_time(self) -> None:
        assert formats.render("check", report(BROKEN), "json") == formats.render("check", report(BROKEN), "json")


def probe_recipes() -> list[str]:
    return [run.recipe for run in probe_run().recipes]


class TestProbe:
    """The part of the probe in the report for people."""

    HEADROOM = Headroom(
        tightest=PeakValue(module="layers.11", op="add", largest=131008.0),
        layers={"layers.0": 8.0, "layers.11": 131008.0},
    )

    SMALL = Headroom(tightest=PeakValue(module="layers.11", op="add", largest=8.0), layers={})

    def test_range_of_the_miniature_is_not_shown(self) -> None:
        assert "headroom" not in rendered(report(examination(probe=probe_run(headroom=self.HEADROOM))))

    def test_range_of_a_checkpoint_is_shown_by_layer(self) -> None:
        probe = probe_run(recipes=(), adapter=None, headroom=self.HEADROOM)
        planned = {"checkpoint": "/models/mine", "trains": False, "precision": "fp16-amp"}
        text = rendered(report(examination(probe=probe, planned=planned)))
        assert "float16 headroom                     -1.0 bits: |x| up to 1.3101e+05 in layers.11 (add)" in text
        assert "  layers.0              13.0 bits    ####" in text
        assert text.startswith("✗ Not fit to train under fp16-amp.")

    @pytest.mark.parametrize(
        ("largest", "verdict"),
        [
            (
                24926.0,
                (
                    "✓ Largest value 24,926 of 65,504 (1.4 bits spare) in the forward pass. The backward pass was not"
                    " measured. Training in float16 can still fail. "
                ),
            ),
            (131008.0, "✓ Largest value 131,008 of 65,504 (-1.0 bits): float16 cannot hold these texts. "),
        ],
    )
    def test_verdict_on_a_measurement_says_whether_float16_holds_it(self, largest: float, verdict: str) -> None:
        headroom = Headroom(tightest=PeakValue(module="layers.11", op="add", largest=largest), layers={})
        probe = probe_run(recipes=(), adapter=None, headroom=headroom)
        planned = {"checkpoint": "/models/mine", "trains": False, "precision": "bf16"}
        text = rendered(report(examination(probe=probe, planned=planned)))
        assert text.startswith(f"{verdict}Training was not tested.")

    def test_trainer_and_rollout_have_a_row_for_each_dtype_of_the_trainer(self) -> None:
        facts = {"tokens": 512, "mean": 0.0, "mean_size": 0.01, "largest": 0.4}
        pairs = tuple(
            LogRatio.model_validate({"trainer": trainer, "rollout": "bfloat16", "outside": outside, **facts})
            for trainer, outside in (("bfloat16", 0.08), ("float32", 0.037))
        )
        ratios = LogRatios(pairs=pairs, failures={"float16": failure("not implemented for 'Half'")})
        planned = {"checkpoint": "/models/mine", "trains": False, "precision": "bf16"}
        probe = probe_run(recipes=(), adapter=None, headroom=self.SMALL, log_ratios=ratios)
        text = rendered(report(examination(probe=probe, planned=planned)))
        assert "share of 512 tokens whose ratio of trainer and rollout is outside of [0.9, 1.1]\n" in text
        assert re.search(r"  trainer bfloat16 +8\.0% with a rollout in bfloat16\n", text)
        assert "random weights" not in text
        assert "  log-ratio float16     not measured RuntimeError: not implemented for 'Half'" in text

    def test_a_way_to_train_has_a_row_for_each_recipe_and_one_for_two_runs(self) -> None:
        broken = recipe("bf16", steps=(step(0, None),))
        varied = (
            VariantRun(variant="compiled", finished=True, recipes=(recipe("fp32"), broken)),
            VariantRun(variant="deterministic", finished=True, recipes=(recipe("bf16"),), repeats=True),
        )
        text = rendered(report(examination(probe=probe_run(variants=varied), planned={"precision": "bf16"})))
        assert "bf16, compiled          non-finite   fails only in this way: the loss of step 0 is not finite" in text
        assert "two runs, deterministic same" in text

    def test_the_verdict_names_the_way_to_train_that_was_not_tried(self) -> None:
        missing = recipe("bf16", steps=(), unsupported="it is not installed")
        varied = (VariantRun(variant="flash_attention_2", finished=True, recipes=(missing,)),)
        planned = {"precision": "bf16", "variants": ("flash_attention_2",)}
        text = rendered(report(examination(probe=probe_run(variants=varied), planned=planned)))
        assert "nothing shows that training under bf16 with attention flash_attention_2 works." in text

    def test_the_reason_why_the_backward_pass_was_not_measured_is_shown(self) -> None:
        reason = "RuntimeError: no kernel, raised at mine.py:3"
        probe = probe_run(recipes=(), adapter=None, headroom=self.SMALL, gradients_unmeasured=reason)
        planned = {"checkpoint": "/models/mine", "trains": False, "precision": "bf16"}
        text = rendered(report(examination(probe=probe, planned=planned)))
        assert f"The backward pass was not measured, because {reason}. Training in float16 can still fail." in text
        assert f"float16 gradients       not measured {reason}" in text

    def test_gradients_of_a_checkpoint_have_a_row_and_a_place_in_the_verdict(self) -> None:
        headroom = Headroom(tightest=PeakValue(module="layers.11", op="add", largest=24926.0), layers={})
        gradients = GradientRange(tokens=64, largest=3.0, module="norm", layers={}, exponents={-50: 1, -20: 3})
        probe = probe_run(recipes=(), adapter=None, headroom=headroom, gradients=gradients)
        planned = {"checkpoint": "/models/mine", "trains": False, "precision": "bf16"}
        text = rendered(report(examination(probe=probe, planned=planned)))
        assert "The gradients of a short text fit into float16 at a loss scale of 16384 or less." in text
        assert (
            "-1.6 bits at a loss scale of 65536: |g| up to 3 at norm; at 16384, reached after 2 skipped steps, 25.0% of"
            in text
        )

    def test_measures_of_a_gpu_are_shown_only_with_a_gpu(self) -> None:
        measures = (
            Measure(name="bf16 speed", status="measured", value=0.98, description="bfloat16 700 TFLOP/s"),
            Measure(name="flash-attention", status="unsupported", description="No module named 'flash_attn'"),
        )
        text = rendered(report(examination(probe=probe_run(device=cuda_device(), measures=measures))))
        assert "·  bf16 speed              measured     bfloat16 700 TFLOP/s" in text
        assert "-  flash-attention         unsupported  No module named 'flash_attn'" in text
        assert "bf16 speed" not in rendered(report(examination(probe=probe_run(measures=measures))))

    def test_margins_with_planted_outliers_do_not_change_the_verdict(self) -> None:
        overflowing = recipe("fp16-amp", steps=(step(0, None, parameters_finite=False),))
        stress = StressRun(plant="stress4x", headroom=self.HEADROOM, recipes=(recipe("fp32"), overflowing))
        text = rendered(report(examination(probe=probe_run(stress=(stress,)))))
        assert "stress4x                -1.00 bits   fp32 finite, fp16-amp non-finite" in text
        assert text.startswith("✓ Fit to train under bf16:"), "margins do not change the verdict"

    def test_long_row_is_wrapped_beside_its_name(self) -> None:
        broken = recipe("fp16-amp", steps=(step(0, None, parameters_finite=False),))
        examined = report(examination(probe=probe_run(broken), planned={"precision": "fp16-amp"}))
        lines = rendered(examined, 80, terminal=True, color_system=None).splitlines()
        assert all(len(line) <= 80 for line in lines if "https://" not in line and " -m pip " not in line)
        row = next(line for line in lines if "fp16-amp " in line and "non-finite" in line)
        assert "the loss of step 0 is not finite" in row
