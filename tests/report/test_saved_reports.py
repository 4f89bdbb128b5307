"""A report that was saved as JSON is read again as the same report: other programs and kept answers depend on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import ON_PAPER, Venv, run_doctor
from tests.facts import environment, examination
from tests.report.html.reports import REPORTS
from vc2doctor.commands.examine import report_on
from vc2doctor.commands.report import Report
from vc2doctor.core.data import with_texts
from vc2doctor.environment.model import Manager, UnknownFacts
from vc2doctor.environment.sources import Context, sources
from vc2doctor.report import formats

MANAGER = Manager(uv_project="/home/someone/project", direct={"peft": "--group dev"}, conda_packages=("numpy",))


def managed() -> Report:
    """Return a report with facts of a source that has no field of its own."""
    report = report_on(examination(), 1.0)
    return report.model_copy(update={"environment": environment(further={"manager": MANAGER})})


SAMPLES = {**REPORTS, "managed": managed}


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_report_is_read_again_as_it_was(name: str) -> None:
    text = formats.render("check", SAMPLES[name](), "json")
    read = Report.model_validate_json(text)
    assert formats.render("check", read, "json") == text
    # Only texts that JSON cannot hold differ: they are replaced when the report is saved.
    if name != "hostile":
        assert read == SAMPLES[name]()


def test_facts_of_a_source_without_a_field_keep_their_class() -> None:
    read = Report.model_validate_json(formats.render("check", managed(), "json"))
    assert read.environment.of(Manager) == MANAGER


def test_facts_of_an_unknown_source_are_kept_and_their_texts_can_be_replaced() -> None:
    saved = json.loads(formats.render("check", managed(), "json"))
    saved["environment"]["further"]["scheduler"] = {"node": "/home/someone", "jobs": [{"path": "/home/someone/x"}]}
    read = Report.model_validate(saved)
    assert isinstance(read.environment.further["scheduler"], UnknownFacts)
    shown = with_texts(read, lambda text: text.replace("/home/someone", "~"))
    assert json.loads(formats.render("check", shown, "json"))["environment"]["further"]["scheduler"] == {
        "node": "~",
        "jobs": [{"path": "~/x"}],
    }
    assert "/home/someone" in formats.render("check", read, "json"), "the original is as it was"


def test_each_source_names_the_class_of_what_it_sees(tmp_path: Path) -> None:
    (tmp_path / "torch.py").touch()
    context = Context(tmp_path, frozenset({"torch"}), tmp_path, {})
    for source in sources():
        observed = source.observe(context)
        each = observed if isinstance(observed, tuple) else (observed,)
        assert each, source.name
        assert {type(facts) for facts in each} == {source.facts}


def test_report_of_a_real_check_is_read_again_as_it_was(venv: Venv, tmp_path: Path) -> None:
    venv.add_stack()
    ran = run_doctor("check", *ON_PAPER, "--python", venv.python, "--format", "json", cwd=tmp_path)
    read = Report.model_validate_json(ran.out)
    assert read.environment.of(Manager) is not None
    assert formats.render("check", read, "json") == ran.out
