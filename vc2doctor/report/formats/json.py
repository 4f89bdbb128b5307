"""A report as JSON with a stable order of keys: see docs/json.md."""

from vc2doctor.core.data import Data
from vc2doctor.report.formats import Format


def render(report: Data) -> str:
    """Return the report as indented JSON."""
    return report.model_dump_json(by_alias=True, indent=2) + "\n"


FORMAT = Format("json", (".json",), dict.fromkeys(("check", "lint", "versions", "tables", "needs"), render))
