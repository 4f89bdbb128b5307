"""Adapters that cannot be reloaded, or that change on the way."""

from __future__ import annotations

from tests.checks import findings_of
from tests.facts import examination, failure, probe_run
from vc2doctor.checks import vc012_adapter as check
from vc2doctor.core.failure import Missing
from vc2doctor.probe.facts import AdapterRun


def adapter(**fields: object) -> AdapterRun:
    defaults: dict[str, object] = {
        "recipe": "fp32",
        "done": ("save", "reload", "generate"),
        "difference": 0.0,
        "same": True,
        "error": None,
        "seconds": 0.1,
    }
    return AdapterRun.model_validate({**defaults, **fields})


def test_adapter_that_is_the_same_after_reloading_has_no_finding() -> None:
    assert findings_of(check, examination(probe=probe_run())) == []


def test_phase_that_fails_is_named() -> None:
    broken = adapter(done=("save",), same=False, difference=None, error=failure("no such key"))
    (finding,) = findings_of(check, examination(probe=probe_run(adapter=broken)))
    assert finding.message == "the trained adapter cannot be used: reload fails"
    assert "RuntimeError at torch/x.py:7: no such key" in finding.evidence


def test_difference_of_the_logits_is_evidence() -> None:
    (finding,) = findings_of(check, examination(probe=probe_run(adapter=adapter(same=False, difference=3.5))))
    assert finding.evidence[0] == "largest difference of the logits: 3.5"


def test_missing_module_that_no_package_requires_is_installed() -> None:
    error = failure("Please install it with `pip install Jinja2`.", missing=Missing(module="Jinja2"))
    broken = adapter(done=(), same=False, difference=None, error=error)
    (finding,) = findings_of(check, examination(probe=probe_run(adapter=broken)))
    assert finding.commands == ("/env/bin/python -m pip install Jinja2",)
    assert finding.remedy.startswith("Install Jinja2. ")


def test_missing_module_of_an_installed_package_needs_another_version() -> None:
    error = failure(
        "No module named 'transformers.modeling_layers'", missing=Missing(module="transformers.modeling_layers")
    )
    broken = adapter(done=(), same=False, difference=None, error=error)
    (finding,) = findings_of(check, examination(probe=probe_run(adapter=broken)))
    assert finding.remedy.startswith("No small change of versions is known to fix this. Or change transformers from ")
