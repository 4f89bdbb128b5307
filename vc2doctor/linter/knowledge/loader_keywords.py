"""Keywords of ``from_pretrained`` that models of transformers take through ``**kwargs``, with their releases.

Read in the wheels: ``modeling_utils.py`` of 4.35.2 and 4.57.6 takes ``load_in_8bit`` and ``use_auth_token`` out of
its keywords, and that of 5.0.0 names neither; ``attn_implementation`` is in 4.36.0 and not in 4.35.2,
``use_flash_attention_2`` in 4.34.0 to 4.50.0 and not in 4.53.0. A keyword that is not taken out reaches the constructor
of the model, which raises TypeError.
"""

import ast
import re
from collections.abc import Mapping

from packaging.specifiers import SpecifierSet

from vc2doctor.linter.knowledge.api_table import ApiTable, Existence

MODEL_CLASSES = re.compile(
    r"Auto\w*Model\w*|\w+(ForCausalLM|ForConditionalGeneration|ForSequenceClassification|LMHeadModel)"
)
"""Classes of transformers that load a model."""
_LOADERS = re.compile(
    r"transformers\.(\w+\.)*([A-Z]\w*Model|[A-Z]\w+For[A-Z]\w+|Auto\w*Model\w*)|trl\.(\w+\.)*AutoModelFor\w+WithValueHead"
)
"""Classes whose ``from_pretrained`` gives keywords that it does not know to a model of transformers. The value heads of
trl hand them on to ``from_pretrained`` of transformers."""
RELEASES: Mapping[str, SpecifierSet] = {
    "load_in_8bit": SpecifierSet("<5"),
    "load_in_4bit": SpecifierSet("<5"),
    "use_auth_token": SpecifierSet("<5"),
    "attn_implementation": SpecifierSet(">=4.36"),
    "use_flash_attention_2": SpecifierSet(">=4.34,<4.53"),
}
LEFT_OUT = "nothing"
"""What to write in place of a keyword that can go: its value is the default."""


_SWITCHES = {
    "load_in_8bit": ("quantization_config=", "BitsAndBytesConfig(load_in_8bit=True)", "None"),
    "load_in_4bit": ("quantization_config=", "BitsAndBytesConfig(load_in_4bit=True)", "None"),
    "use_flash_attention_2": ("attn_implementation=", '"flash_attention_2"', '"sdpa"'),
}
"""Switches: the keyword that took their place, and its values where the switch is on and where it is off."""


def instead_of(keyword: str, value: ast.expr | None) -> str:
    """Return what to write in place of a keyword with this value; empty: nothing is known.

    ``None`` as the value: it is not written where the keyword is.
    """
    if keyword == "use_auth_token":
        return f"token={ast.unparse(value) if value is not None else ''}"
    if keyword not in _SWITCHES:
        return ""
    name, on, off = _SWITCHES[keyword]
    match value:
        case None:
            return name
        case ast.Constant(value=constant):
            return f"{name}{on}" if constant else LEFT_OUT
        case _:
            return f"{name}{on} if {ast.unparse(value)} else {off}"


def is_loader(dotted: str) -> bool:
    """Return whether a class with this full name gives the keywords of ``from_pretrained`` to a model."""
    return _LOADERS.fullmatch(dotted) is not None


def existence_of(table: ApiTable, keyword: str) -> Existence | None:
    """Return the releases of transformers whose ``from_pretrained`` takes a keyword; ``None``: it is not known."""
    package = table.packages.get("transformers")
    releases = RELEASES.get(keyword)
    if package is None or releases is None:
        return None
    bits = sum(1 << place for place, version in enumerate(package.versions) if version in releases)
    return Existence("transformers", bits)
