"""The windows of small programs, judged with the real table of names."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from vc2doctor.commands.needs import NeedsReport, NeedsRequest, needs
from vc2doctor.report.formats import render


def report_of(folder: Path, files: dict[str, str]) -> NeedsReport:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text), encoding="utf-8")
    return needs(NeedsRequest(paths=(folder,)))


MAIN = '\nif __name__ == "__main__":\n    print("training")\n'
OLD_TUNING = "from peft import prepare_model_for_int8_training\nfrom trl import AutoModelForCausalLMWithValueHead\n"


def test_a_window_ends_where_a_name_comes_and_where_one_goes(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"train.py": OLD_TUNING + MAIN, "requirements.txt": "peft==0.4.0\n"})
    (program,) = report.programs
    peft = program.windows[0]
    assert (peft.package, peft.first, peft.last) == ("peft", "0.2.0", "0.9.0")
    assert peft.lower is not None
    assert peft.upper is not None
    assert (peft.lower.missing_in, peft.upper.missing_in) == ("0.1.0", "0.10.0")
    assert (peft.upper.label, peft.upper.path, peft.upper.line) == (
        "peft.prepare_model_for_int8_training",
        "train.py",
        1,
    )
    assert (peft.minor_releases, peft.required_fits) == (8, True)
    assert (report.verdict, report.exit_code) == ("satisfiable", 0)


def test_each_program_has_the_needs_of_what_it_imports_and_same_needs_are_told_once(tmp_path: Path) -> None:
    report = report_of(
        tmp_path,
        {
            "a.py": "import lib.tuning\n" + MAIN,
            "b.py": "from lib import tuning\n" + MAIN,
            "c.py": "from peft import prepare_model_for_kbit_training\n" + MAIN,
            "lib/__init__.py": "",
            "lib/tuning.py": "from peft import prepare_model_for_int8_training\n",
            "lib/unused.py": "from peft import VBLoRAConfig\n",
        },
    )
    windows = {program.programs: program.windows[0] for program in report.programs}
    assert windows.keys() == {("a.py", "b.py"), ("c.py",)}
    assert windows["a.py", "b.py"].last == "0.9.0"
    assert windows["c.py",].first == "0.4.0"
    assert windows["c.py",].is_open_above


def test_names_that_no_release_has_together_are_an_error_with_both_places(tmp_path: Path) -> None:
    text = "from peft import prepare_model_for_int8_training, get_peft_model\nfrom peft import VBLoRAConfig\n"
    report = report_of(tmp_path, {"train.py": text + MAIN})
    (window,) = report.programs[0].windows
    assert window.first == ""
    assert [(name.label, name.line, name.missing_in) for name in window.conflict] == [
        ("peft.prepare_model_for_int8_training", 1, "0.10.0"),
        ("peft.VBLoRAConfig", 2, "0.12.0"),
    ]
    assert (report.exit_code, report.programs[0].measured) == (1, None)


def test_a_name_under_a_condition_gives_way_to_those_that_always_run(tmp_path: Path) -> None:
    text = """
        from peft import VBLoRAConfig
        def load(bits):
            if bits == 8:
                from peft import prepare_model_for_int8_training
                return prepare_model_for_int8_training
        if __name__ == "__main__":
            load(8)
    """
    (window,) = report_of(tmp_path, {"train.py": text}).programs[0].windows
    assert window.first == "0.13.0"
    assert [name.label for name in window.only_in_branches] == ["peft.prepare_model_for_int8_training"]


def test_a_pin_outside_of_the_window_is_an_error(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"train.py": OLD_TUNING + MAIN, "requirements.txt": "peft==0.17.0\n"})
    assert (report.programs[0].windows[0].required_fits, report.exit_code) == (False, 1)
    assert "peft==0.17.0 (requirements.txt:1) lies outside this window" in render("needs", report, "text")


def test_pins_that_do_not_train_together_are_an_error_although_all_names_exist(tmp_path: Path) -> None:
    files = {"train.py": "from transformers import EarlyStoppingCallback, LlamaConfig\n" + MAIN}
    pins = "transformers==5.23.0\npeft==0.17.0\ntorch\n"
    report = report_of(tmp_path, {**files, "requirements.txt": pins})
    pinned = report.programs[0].pinned
    assert pinned is not None
    assert (pinned.verdict, pinned.files, report.exit_code) == ("incompatible", ("requirements.txt",), 1)
    text = render("needs", report, "text")
    assert "transformers==5.23.0 and peft==0.17.0 do not train together, although they are pinned" in text
    good = report_of(tmp_path, {**files, "requirements.txt": "transformers==5.23.0\npeft==0.21.2\n"})
    assert (good.programs[0].pinned is not None, good.exit_code) == (True, 0)


def test_one_pin_alone_is_not_judged(tmp_path: Path) -> None:
    files = {"train.py": "from transformers import LlamaConfig\n" + MAIN, "requirements.txt": "peft==0.17.0\npeft>0\n"}
    assert report_of(tmp_path, files).programs[0].pinned is None


def test_without_a_name_of_the_table_nothing_is_known(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"train.py": "import torch\n" + MAIN})
    assert (report.verdict, report.exit_code, report.programs) == ("unknown", 3, ())
    assert "Nothing is known" in render("needs", report, "text")


def test_the_measured_set_lies_in_the_windows_and_meets_the_pins(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"train.py": OLD_TUNING + MAIN, "requirements.txt": "peft==0.4.0\n"})
    measured = report.programs[0].measured
    assert measured is not None
    assert measured.versions["peft"] == "0.4.0"
    assert measured.beside.keys() == {"trl"}
    text = render("needs", report, "text")
    assert f"torch=={measured.versions['torch']}" in text
    assert "'trl>=" in text, "commands are quoted for a shell"


def test_text_and_json_tell_the_same(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"train.py": OLD_TUNING + MAIN})
    assert NeedsReport.model_validate_json(render("needs", report, "json")) == report
    text = render("needs", report, "text")
    assert "peft 0.2.0 to 0.9.0  (8 minor releases)" in text
    assert "0.10.0 lacks peft.prepare_model_for_int8_training: train.py:1" in text


RESUMED = """
from peft import prepare_model_for_kbit_training, set_peft_model_state_dict

def resume(model, weights):
    if weights is not None:
        model = set_peft_model_state_dict(model, weights)
    return prepare_model_for_kbit_training(model)
"""


def test_a_pin_counts_more_than_a_branch_that_it_lacks(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"train.py": RESUMED + MAIN, "requirements.txt": "peft==0.6.0\n"})
    (window,) = report.programs[0].windows
    assert (window.first, window.required_fits, report.exit_code) == ("0.4.0", True, 0)
    assert [(name.line, name.missing_in) for name in window.only_in_branches] == [(6, "0.6.0")]
    text = render("needs", report, "text")
    assert "set_peft_model_state_dict, under a condition, does not count: 0.6.0 returns no model" in text


def test_what_stands_behind_and_is_a_branch(tmp_path: Path) -> None:
    asked = "import transformers\nprint({})\n" + MAIN
    pins = {"requirements.txt": "transformers==4.30.0\n"}
    always = report_of(tmp_path / "a", {"train.py": asked.format("transformers.Qwen2Config"), **pins})
    behind = report_of(tmp_path / "b", {"train.py": asked.format("MAIN and transformers.Qwen2Config"), **pins})
    assert [each.programs[0].windows[0].required_fits for each in (always, behind)] == [False, True]


def test_what_breaks_another_way_of_training_does_not_concern_a_program(tmp_path: Path) -> None:
    pins = {"requirements.txt": "torch==2.4.0\ntransformers==4.51.3\npeft==0.12.0\naccelerate==0.33.0\n"}
    loop = (
        "from accelerate import Accelerator\nfrom transformers import GenerationConfig\nAccelerator(project_dir='.')\n"
    )
    trainer = f"{loop}from transformers import Trainer\nTrainer(None).train()\n"
    verdicts = [
        report_of(tmp_path / name, {"train.py": text + MAIN, **pins}).programs[0].pinned
        for name, text in (("loop", loop), ("trainer", trainer))
    ]
    assert [each.verdict if each else None for each in verdicts] == ["compatible", "incompatible"]


def test_pins_that_some_release_beside_them_may_train_with_are_no_error(tmp_path: Path) -> None:
    files = {"train.py": "from transformers import LlamaConfig\n" + MAIN}
    report = report_of(tmp_path, {**files, "requirements.txt": "torch==2.0.0\npeft==0.2.0\n"})
    pinned = report.programs[0].pinned
    assert pinned is not None
    assert (pinned.verdict, report.exit_code) == ("unverified", 0)


def test_a_model_type_that_transformers_got_itself_ends_the_window(tmp_path: Path) -> None:
    text = "from transformers import AutoConfig, LlamaConfig\nAutoConfig.register('llava', LlamaConfig)\n"
    report = report_of(tmp_path, {"train.py": text + MAIN})
    (window,) = report.programs[0].windows
    assert (window.first, window.last) == ("4.28.0", "4.35.2")
    assert window.upper is not None
    # 4.35.2 takes it; 4.36.0 raises: 'llava' is already used by a Transformers config, pick another name.
    assert (window.upper.label, window.upper.line) == ("AutoConfig.register('llava')", 2)
    sentence = (
        "4.36.0 has a model type 'llava' of its own and raises ValueError (AutoConfig.register('llava')): train.py:2"
    )
    assert sentence in " ".join(render("needs", report, "text").split())


def test_of_a_package_and_a_file_with_one_name_the_package_is_imported(tmp_path: Path) -> None:
    files = {
        "tuner.py": "import tuner\n" + MAIN,
        "tuner/__init__.py": "from tuner.gemma import Gemma2Config\n",
        "tuner/gemma.py": "from transformers import Gemma2Config\n",
    }
    (program,) = report_of(tmp_path, files).programs
    assert (program.programs, program.windows[0].first) == (("tuner.py",), "4.42.0")
