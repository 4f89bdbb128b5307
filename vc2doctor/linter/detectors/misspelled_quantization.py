"""Keys for bitsandbytes that ``BitsAndBytesConfig`` does not have: it takes them, logs them and ignores them."""

from collections.abc import Iterator
from difflib import get_close_matches

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.knowledge.quantized_names import BITSANDBYTES_KEYS
from vc2doctor.linter.model import CodeFinding

_CLASS = "BitsAndBytesConfig"
_PREFIXES = ("bnb_", "llm_int8_", "load_in_")
_URL = "https://huggingface.co/docs/transformers/main_classes/quantization#transformers.BitsAndBytesConfig"


def misspelled_quantization(unit: Unit) -> Iterator[CodeFinding]:
    """Yield keywords of ``BitsAndBytesConfig`` that begin like its keys and are none (VC106)."""
    for call in unit.calls.get(_CLASS, []):
        for keyword in call.node.keywords:
            name = keyword.arg or ""
            if not name.startswith(_PREFIXES) or name in BITSANDBYTES_KEYS:
                continue
            close = get_close_matches(name, BITSANDBYTES_KEYS, n=1, cutoff=0.0)
            yield build.at_node(
                call.place.module,
                keyword,
                "VC106",
                Severity.WARNING,
                f"{_CLASS} has no {name}: it logs the key as unused, and {close[0]} keeps its default",
                remedy=f"Write {close[0]}.",
                url=_URL,
                role="config",
            )
