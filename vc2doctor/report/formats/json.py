"""A report as JSON with a stable order of keys: see docs/json.md."""

from pydantic_core import PydanticSerializationError

from vc2doctor.core.data import Data, with_texts
from vc2doctor.core.printing import escaped_json, without_surrogates
from vc2doctor.report.formats import Format


def render(report: Data) -> str:
    """Return the report as indented JSON. Bytes of paths that are not UTF-8 are shown as replacement characters."""
    try:
        text = report.model_dump_json(by_alias=True, indent=2)
    except (PydanticSerializationError, UnicodeError):
        text = with_texts(report, without_surrogates).model_dump_json(by_alias=True, indent=2)
    return escaped_json(text) + "\n"


FORMAT = Format("json", (".json",), dict.fromkeys(("check", "lint", "versions", "tables", "needs"), render))
