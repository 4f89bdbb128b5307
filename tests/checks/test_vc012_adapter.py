"""Adapters that do not come back as they were."""

from __future__ import annotations

from tests.checks import found_by
from tests.facts import examination, failure, probe_run
from vc2doctor.checks import vc012_adapter as check
from vc2doctor.core.failure import Missing
from vc2doctor.probe.facts import AdapterRun


def adapter(**fields: object) -> AdapterRun:
    told: dict[str, object] = {
        "recipe": "fp32",
        "done": ("save", "reload", "generate"),
        "difference": 0.0,
        "same": True,
        "error": None,
        "seconds": 0.1,
    }
    return AdapterRun.model_validate({**told, **fields})


def test_the_same_model_came_back() -> None:
    assert found_by(check, examination(probe=probe_run())) == []


def test_the_phase_that_fails_is_named() -> None:
    broken = adapter(done=("save",), same=False, difference=None, error=failure("no such key"))
    (finding,) = found_by(check, examination(probe=probe_run(adapter=broken)))
    assert finding.message == "the trained adapter cannot be used: reload fails"
    assert "RuntimeError at torch/x.py:7: no such key" in finding.evidence


def test_another_model_came_back() -> None:
    (finding,) = found_by(check, examination(probe=probe_run(adapter=adapter(same=False, difference=3.5))))
    assert finding.evidence[0] == "largest difference of the logits: 3.5"


def test_a_module_that_nobody_declares_is_what_mends_it() -> None:
    error = failure("Please install it with `pip install Jinja2`.", missing=Missing(module="Jinja2"))
    broken = adapter(done=(), same=False, difference=None, error=error)
    (finding,) = found_by(check, examination(probe=probe_run(adapter=broken)))
    assert finding.commands == ("/env/bin/python -m pip install Jinja2",)
    assert finding.remedy.startswith("Install Jinja2:")


def test_a_module_of_a_package_that_is_there_is_another_version() -> None:
    error = failure(
        "No module named 'transformers.modeling_layers'", missing=Missing(module="transformers.modeling_layers")
    )
    broken = adapter(done=(), same=False, difference=None, error=error)
    (finding,) = found_by(check, examination(probe=probe_run(adapter=broken)))
    assert finding.remedy.startswith("Install a set that was measured to train")
