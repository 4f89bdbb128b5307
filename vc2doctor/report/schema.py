"""JSON Schemas: of the files of a matrix, for editors, and of the JSON reports, for programs that read them."""

from typing import Any

from vc2doctor.commands.report import Report
from vc2doctor.core.data import Data
from vc2doctor.linter.model import LintReport
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.profile import Profile

KINDS: dict[str, type[Data]] = {
    "profile": Profile,
    "known_issue": KnownIssue,
    "evidence": EvidenceLine,
    "report": Report,
    "lint": LintReport,
}
"""The data that has a schema, by the name of its schema file."""


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of ``kind``, one of ``KINDS``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **KINDS[kind].model_json_schema(by_alias=True),
    }
