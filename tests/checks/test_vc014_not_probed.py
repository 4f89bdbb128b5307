"""Nothing was trained."""

from __future__ import annotations

from tests.checks import found_by
from tests.facts import examination, probe_run
from vc2doctor.checks import vc014_not_probed as check
from vc2doctor.findings import Severity


def test_it_is_noted() -> None:
    (finding,) = found_by(check, examination())
    assert finding.severity is Severity.NOTE


def test_not_where_it_was_probed_or_could_not_be() -> None:
    assert found_by(check, examination(probe=probe_run())) == []
    assert found_by(check, examination({})) == []
