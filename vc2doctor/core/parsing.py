"""Parse JSON and TOML that others wrote, under budgets: depth and digits. ``core/yaml_parsing.py`` parses YAML.

The parsers of the libraries are linear in most inputs. The budgets are for the others: a TOML key of many parts takes
quadratic time and memory, and deep nesting ends in ``RecursionError``, in the parser or in the code that walks its
result.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from vc2doctor.core import patterns

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_DEPTH = 100
"""Levels of nested objects and lists. The deepest configurations of published projects have fewer than 20."""
MAX_KEY_PARTS = 32
"""Parts of a dotted TOML key. A key of 120,000 parts, a file of 240 kB, took tomllib 190 s and all of the memory."""
_LONG_KEY = patterns.compiled(rf"""(?:(?:"[^"\n]*"|'[^'\n]*'|[\w-]+)[ \t]*\.[ \t]*){{{MAX_KEY_PARTS},}}""")


class MalformedError(ValueError):
    """A text is not what it should be, or exceeds a budget. The message says why, without the name of the file."""


def parse_json(text: str | bytes, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:  # noqa: ANN401 - as the file has it
    """Return the value of a JSON text.

    Raises:
        MalformedError: it is not JSON, is nested too deeply, or has a number of too many digits.
    """
    try:
        value = json.loads(text, object_pairs_hook=object_pairs_hook)
    except (ValueError, RecursionError) as error:
        raise MalformedError(reason_of(error)) from error
    _check_depth(value)
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Raises:
        MalformedError: it is not TOML, is nested too deeply, or has a number of too many digits.
    """
    if patterns.is_found(_LONG_KEY, text):
        message = f"it has a key of more than {MAX_KEY_PARTS} parts"
        raise MalformedError(message)
    try:
        tables: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedError(reason_of(error)) from error
    _check_depth(tables)
    return tables


def reason_of(error: BaseException) -> str:
    """Return in words why a parser refused a text."""
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _check_depth(value: object) -> None:
    """Check that lists and objects are not nested too deeply for code that walks them by recursion."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    message = f"it is nested more than {MAX_DEPTH} levels deep"
    raise MalformedError(message)
