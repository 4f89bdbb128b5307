"""The checks print one plan: their remedies neither contradict nor follow each other, and name the culprit."""

from __future__ import annotations

from tests.facts import distribution, examination, failed, failure, probe_run
from tests.remedies.test_plan import of
from tests.remedies.test_smallest import GOOD, OLD
from vc2doctor import checks
from vc2doctor.checks.context import Examination
from vc2doctor.environment.model import Distribution
from vc2doctor.findings import Finding
from vc2doctor.probe.facts import DoorRun, ProbeRun

TORCHAO = failure(
    "Found an incompatible version of torchao. Found version 0.10.0, but only versions above 0.16.0 are supported",
    type="ImportError",
    file="peft/import_utils.py",
    package="peft",
)
PIP = "/env/bin/python -m pip install "


def examined(versions: dict[str, str], *further: Distribution, probe: ProbeRun | None = None) -> Examination:
    return examination(distributions=of(versions, *further).distributions, probe=probe)


def installs(examined_set: Examination) -> dict[str, set[str]]:
    """Return the first command of every finding that installs something, by the id of the check."""
    commands: dict[str, set[str]] = {}
    for finding in checks.run(examined_set):
        if finding.commands and " install " in finding.commands[0]:
            commands.setdefault(finding.id, set()).add(finding.commands[0])
    return commands


def found(examined_set: Examination, id_: str) -> Finding:
    return next(finding for finding in checks.run(examined_set) if finding.id == id_)


def test_all_conflicts_get_the_same_command() -> None:
    broken = examined({**GOOD, "accelerate": "0.20.3", "huggingface-hub": "0.36.0", "safetensors": "0.4.3"})
    expected = {f"{PIP}accelerate==1.3.0 huggingface-hub==1.31.0 safetensors==0.8.0"}
    commands = installs(broken)
    assert commands.keys() >= {"VC004", "VC005"}
    assert all(first == expected for first in commands.values()), commands


def test_package_that_the_exception_names_is_changed_and_not_the_stack() -> None:
    broken = examined({**GOOD, "torchao": "0.10.0"}, probe=probe_run(failed("fp32", TORCHAO), failed("bf16", TORCHAO)))
    assert {first for commands in installs(broken).values() for first in commands} == {f"{PIP}torchao==0.16.0"}


def test_import_failure_that_asks_for_a_version_gets_it() -> None:
    error = failure("Using the `Trainer` with `PyTorch` requires `accelerate>=1.12.0`", package="transformers")
    probe = probe_run(recipes=(), adapter=None, import_package="transformers", import_failure=error)
    assert installs(examined({**GOOD, "accelerate": "1.10.1"}, probe=probe)) == {"VC013": {f"{PIP}accelerate==1.12.0"}}


def test_failure_of_a_measured_set_without_a_hint_changes_nothing() -> None:
    probe = probe_run(recipes=(), adapter=None, import_package="peft", import_failure=failure("undefined symbol"))
    measured = {**GOOD, "jinja2": "3.1.6", "setuptools": "84.2.1"}
    finding = found(examined(measured, probe=probe), "VC013")
    assert finding.commands == ()
    assert finding.remedy.startswith("These versions of the stack were measured to train")


def test_lost_metadata_pins_the_version_that_was_there() -> None:
    versions = {name: text for name, text in GOOD.items() if name != "peft"}
    lost = distribution("peft", None, path="/env/peft-0.21.2.dist-info", problems=("METADATA is missing or empty",))
    commands = installs(examined(versions, lost))
    assert commands["VC003"] == commands["VC001"] == {f"{PIP}--ignore-installed --no-deps peft==0.21.2"}


def test_warning_is_not_resolved_by_the_next_conflict() -> None:
    # accelerate 1.3 would end the error, and bring the warning that wants accelerate below 1.0.
    broken = examined({**GOOD, **OLD, "peft": "0.13.2", "accelerate": "0.20.3"})
    assert installs(broken)["VC005"] == {f"{PIP}accelerate==0.21.0"}


def test_requirement_beside_the_stack_is_not_met_at_its_cost() -> None:
    holding = distribution("gradio", "4", requires=("huggingface-hub<1.0",))
    finding = found(examined(GOOD, holding), "VC004")
    for command in finding.commands:
        assert "huggingface-hub==0" not in command or "transformers==" in command


def test_a_message_that_names_one_way_out_does_not_rule_out_the_others() -> None:
    versions = {
        "torch": "2.13.0",
        "transformers": "4.41.2",
        "peft": "0.11.1",
        "accelerate": "0.31.0",
        "tokenizers": "0.19.1",
        "huggingface-hub": "0.23.5",
        "numpy": "1.26.4",
        "safetensors": "0.8.0",
        "datasets": "2.19.1",
        "pyarrow": "26.0.0",
        "jinja2": "3.1.6",
    }
    failed = DoorRun(
        door="trainer",
        trains=True,
        finished=True,
        phase="import",
        error=failure("pyarrow requires NumPy 2.0 or newer, found 1.26.4"),
    )
    planned = {"doors": ("trainer",)}
    judged = examination(versions, probe=probe_run(doors=(failed,)), planned=planned)
    assert judged.version_plan.first is not None
    assert judged.version_plan.first.requirements == ("pyarrow==25.0.0",)
