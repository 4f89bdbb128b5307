"""Keys of a found settings file that do not count."""

from __future__ import annotations

from tests.facts import examination
from vc2doctor.checks import vc021_settings
from vc2doctor.findings import Severity
from vc2doctor.linter.settings import AppliedSettings

FOUND = AppliedSettings(file="/a b/pyproject.toml", applied=("precision",), ignored=("matrix", "output"))


def test_ignored_keys_are_a_warning_with_file_and_keys() -> None:
    [finding] = vc021_settings.check(examination(planned={"settings": FOUND}))
    assert finding.severity is Severity.WARNING
    assert finding.message == "/a b/pyproject.toml sets matrix, output, which was ignored"
    assert finding.commands == ("vc2doctor check --config '/a b/pyproject.toml'",)


def test_the_same_file_is_reported_once() -> None:
    assert len(list(vc021_settings.check(examination(planned={"settings": FOUND, "code_settings": FOUND})))) == 1


def test_a_file_whose_keys_all_count_is_no_finding() -> None:
    applied = FOUND.model_copy(update={"ignored": ()})
    assert list(vc021_settings.check(examination(planned={"settings": applied}))) == []
