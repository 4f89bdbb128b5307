"""Settings that are ignored because the user did not choose their file."""

from __future__ import annotations

from tests.facts import examination
from vc2doctor.checks import vc021_settings
from vc2doctor.findings import Severity
from vc2doctor.linter.settings import AppliedSettings

UNTRUSTED = AppliedSettings(file="/a b/pyproject.toml", applied=("precision",), ignored=("matrix", "output"))


def test_ignored_keys_are_a_warning_with_file_and_keys() -> None:
    [finding] = vc021_settings.check(examination(planned={"settings": UNTRUSTED}))
    assert finding.severity is Severity.WARNING
    assert finding.message == "settings in /a b/pyproject.toml were ignored: matrix, output"
    assert finding.commands == ("vc2doctor check --config '/a b/pyproject.toml'",)


def test_file_that_was_read_twice_is_reported_once() -> None:
    assert (
        len(list(vc021_settings.check(examination(planned={"settings": UNTRUSTED, "code_settings": UNTRUSTED})))) == 1
    )


def test_file_without_ignored_keys_has_no_finding() -> None:
    all_applied = UNTRUSTED.model_copy(update={"ignored": ()})
    assert list(vc021_settings.check(examination(planned={"settings": all_applied}))) == []
