"""Doors that fail where they matter, and where they do not."""

from __future__ import annotations

from typing import Any

from tests.checks import findings_of
from tests.facts import GOOD, MISSING_SYMBOL, distribution, examination, failure, probe_run
from tests.remedies.test_by_date import TRL
from tests.remedies.test_plan import of
from tests.remedies.test_smallest import GOOD as MEASURED
from vc2doctor.checks import vc022_door as check
from vc2doctor.checks import verdict
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.facts import DoorRun
from vc2doctor.target.doors import DOORS


def door(name: str, **fields: Any) -> DoorRun:  # noqa: ANN401
    passed = {"trains": True, "finished": True, "phase": "step", "losses": (4.5, 4.4), "moved": 1.0}
    return DoorRun(**{"door": name, **passed, **fields})


def imported(name: str, **fields: Any) -> DoorRun:  # noqa: ANN401
    return DoorRun(**{"door": name, "trains": False, "finished": True, **fields})


def findings(*doors: DoorRun, wanted: tuple[str, ...] = ("trainer",)) -> list[Finding]:
    return findings_of(check, examination(probe=probe_run(doors=doors), planned={"doors": wanted}))


def final(*doors: DoorRun, wanted: tuple[str, ...] = ("trainer",)) -> str:
    judged = examination(probe=probe_run(doors=doors), planned={"doors": wanted})
    return verdict.final_verdict(judged, findings_of(check, judged))


def test_doors_that_train_have_no_finding() -> None:
    doors = (door("trainer"), imported("adapter"))
    assert findings(*doors) == []
    assert final(*doors) == "fit"


def test_a_door_that_matters_and_fails_is_an_error_with_its_place() -> None:
    failed = door("trainer", phase="import", error=failure("no", file="transformers/trainer.py", line=7))
    (finding,) = findings(failed)
    assert finding.severity is Severity.ERROR
    assert finding.message == "transformers.Trainer does not work here: the import fails"
    assert (finding.path, finding.line) == ("transformers/trainer.py", 7)
    assert finding.evidence[0] == "RuntimeError at transformers/trainer.py:7: no"
    assert final(failed) == "unfit"


def test_a_door_that_does_not_matter_and_fails_is_a_warning() -> None:
    doors = (door("trainer"), imported("dpo", error=MISSING_SYMBOL))
    (finding,) = findings(*doors)
    assert finding.severity is Severity.WARNING
    start = "trl's DPOTrainer does not work here: the import fails: ImportError: "
    assert finding.message.startswith(start), "a warning is one line, so the exception stands in it"
    assert final(*doors) == "fit"


def test_a_door_that_ends_without_an_exception_is_described_and_has_no_place() -> None:
    (finding,) = findings(door("trainer", losses=(4.5, None)))
    assert (finding.severity, finding.path, finding.line) == (Severity.ERROR, None, None)
    assert "not finite" in finding.evidence[0]
    assert not any("the same failure" in line for line in finding.evidence)
    assert finding.remedy


def test_a_message_that_ends_with_a_period_does_not_get_a_second_one() -> None:
    (finding,) = findings(door("trainer"), imported("dpo", error=failure("datasets is missing.")))
    assert finding.message.endswith("datasets is missing")
    (finding,) = findings(door("trainer"), imported("dpo", error=failure("this build has no UCX.")))
    assert finding.message.endswith("no UCX")


def test_a_known_conflict_of_a_door_that_does_not_matter_gives_its_remedy() -> None:
    versions = {**GOOD, "datasets": "2.14.4", "fsspec": "2025.3.2"}
    doors = (door("trainer"), imported("datasets", error=failure("LocalFileSystem is not supported")))
    judged = examination(versions, probe=probe_run(doors=doors), planned={"doors": ("trainer",)})
    (finding,) = findings_of(check, judged)
    assert finding.severity is Severity.WARNING
    assert "datasets==" in finding.commands[0]
    assert "LocalFileSystem is not supported" in finding.message


def test_a_package_that_an_extra_excludes_is_changed_if_the_failing_code_uses_it() -> None:
    extra = "kernels<0.13,>=0.12.0; extra == 'kernels'"
    packages = [distribution(name, text, requires=(extra,)) for name, text in GOOD.items() if name == "transformers"]
    packages += [distribution(name, text) for name, text in GOOD.items() if name != "transformers"]
    facts: dict[str, Any] = {"distributions": (*packages, distribution("kernels", "0.15.1"))}
    error = failure("Either a revision or a version must be specified", file="transformers/integrations/hub_kernels.py")
    failed = probe_run(doors=(door("trainer", phase="import", error=error),))
    (finding,) = findings_of(check, examination(probe=failed, planned={"doors": ("trainer",)}, **facts))
    assert finding.commands[0].endswith("'kernels<0.13,>=0.12.0'")
    elsewhere = failure("another failure", file="transformers/trainer.py")
    failed = probe_run(doors=(door("trainer", phase="import", error=elsewhere),))
    (finding,) = findings_of(check, examination(probe=failed, planned={"doors": ("trainer",)}, **facts))
    assert not any("kernels" in command for command in finding.commands)


def test_an_extra_for_another_transformers_is_no_remedy() -> None:
    extra = "transformers<4.31,>=4.30.1; extra == 'exporters'"
    packages = [distribution(name, text) for name, text in GOOD.items()]
    facts: dict[str, Any] = {"distributions": (*packages, distribution("optimum", "1.19.0", requires=(extra,)))}
    error = failure("no kernel for this layer", file="transformers/quantizers/quantizer_bnb_4bit.py")
    failed = probe_run(doors=(door("trainer", error=error),))
    (finding,) = findings_of(check, examination(probe=failed, planned={"doors": ("trainer",)}, **facts))
    assert not any("4.30" in command for command in finding.commands)


def test_package_of_the_door_that_was_called_is_the_first_suspect() -> None:
    versions = {**MEASURED, **TRL}
    error = failure("x() got an unexpected keyword argument 'y'", file="transformers/trainer.py")
    failed = probe_run(doors=(door("grpo", error=error),))
    facts: dict[str, Any] = {"distributions": of(versions).distributions}
    (finding,) = findings_of(check, examination(versions, probe=failed, planned={"doors": ("grpo",)}, **facts))
    assert finding.commands[0].endswith("pip install trl==0.29.0"), "trl called transformers in another way"


def test_doors_that_fail_for_one_cause_are_one_finding() -> None:
    doors = [imported(name, error=MISSING_SYMBOL) for name in ("dpo", "sft", "grpo")]
    (finding,) = findings(door("trainer"), *doors)
    assert "the same failure: trl's SFTTrainer, trl's GRPOTrainer" in finding.evidence


def test_a_door_that_cannot_be_tried_here_leaves_the_verdict_open() -> None:
    doors = (door("trainer"), door("kbit", unavailable="a GPU only", losses=(), moved=None))
    (finding,) = findings(*doors, wanted=("trainer", "kbit"))
    assert (finding.severity, finding.evidence) == (Severity.WARNING, ("a GPU only",))
    assert finding.commands == ("vc2doctor check --require gpu",)
    assert final(*doors, wanted=("trainer", "kbit")) == "unproven"


def test_a_door_that_the_probe_did_not_reach_is_not_called_fit() -> None:
    assert final(wanted=("trainer",)) == "unproven"
    assert final(wanted=()) == "fit"


def test_steps_that_do_otherwise_than_meant_are_a_warning_with_what_to_change_in_the_code() -> None:
    summed = door("accumulation", doubt="the gradient is 4.00 times that of the same rows in one batch")
    (finding,) = findings(door("trainer"), summed, wanted=("trainer", "accumulation"))
    assert finding.severity is Severity.WARNING
    assert "4.00 times" in finding.message
    assert finding.remedy.startswith("Use a larger batch")
    assert final(door("trainer"), summed, wanted=("trainer", "accumulation")) == "fit"


def test_a_fault_of_the_code_is_not_answered_by_other_versions() -> None:
    (finding,) = findings(door("targets", error=failure("Target modules not found")), wanted=("targets",))
    assert finding.severity is Severity.ERROR
    assert finding.remedy == DOORS["targets"].advice
    assert not finding.commands


def test_detail_that_a_small_model_cannot_show_is_a_note() -> None:
    unknown = door("targets", unavailable="numbers of layers")
    (finding,) = findings(door("trainer"), unknown, wanted=("trainer", "targets"))
    assert finding.severity is Severity.NOTE
    assert final(door("trainer"), unknown, wanted=("trainer", "targets")) == "fit"


def test_part_of_peft_that_few_use_is_answered_by_a_peft_of_the_date() -> None:
    versions = {
        **MEASURED,
        "transformers": "4.57.1",
        "peft": "0.12.0",
        "huggingface-hub": "0.36.0",
        "tokenizers": "0.22.2",
    }
    error = failure("'tuple' object has no attribute 'get_seq_length'", file="transformers/cache_utils.py")
    judged = examination(
        versions=None,
        distributions=of(versions).distributions,
        probe=probe_run(doors=(door("prefix", error=error),)),
        planned={"doors": ("prefix",)},
    )
    (finding,) = findings_of(check, judged)
    assert "peft==0.18.0" in finding.commands[0]
