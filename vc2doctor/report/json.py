"""A report as JSON, in a stable order: see docs/json.md."""

from vc2doctor.data import Data


def render(report: Data) -> str:
    """Return the report as indented JSON with a newline at its end."""
    return report.model_dump_json(by_alias=True, indent=2) + "\n"
