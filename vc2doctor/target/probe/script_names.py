"""Imports the names that the user's programs import, one by one: does this environment have them?"""

import difflib
import importlib.util
import sys
import time
from typing import Any, Dict, List, Optional

from ..runtime import EventSink
from ..shared.spec import Spec
from .exceptions import describe

MAX_SECONDS = 60.0
"""After this time no further name is tried. A class of transformers takes up to a second to be imported."""
MAX_MISSING = 20
"""Names that one event describes."""
MAX_NEAR = 3
_STATEMENT = "<import>"


def run(events: EventSink, spec: Spec) -> None:
    """Emit ``names``: how many were tried, and those that cannot be imported.

    Only packages that are there are looked into: whoever examines a whole project need not have what each of its
    programs needs.
    """
    names = [text for text in spec.names if _is_there(text)]
    if not names:
        return
    events.emit("measuring", name="the names that your code imports")
    started = time.perf_counter()
    missing: List[Dict[str, Any]] = []
    tried = 0
    for text in names:
        if time.perf_counter() - started > MAX_SECONDS or len(missing) == MAX_MISSING:
            break
        tried += 1
        module, _, name = text.partition(":")
        failure = _try(module, name)
        if failure is not None:
            missing.append({"module": module, "name": name, "near": _near(module, name), "error": failure})
    events.emit("names", tried=tried, left_out=len(spec.names) - tried, missing=missing)


def _is_there(text: str) -> bool:
    """Return whether the package of ``module:name`` can be found, and both are names of Python."""
    words = text.replace(":", ".").split(".")
    if not all(word.isidentifier() for word in words):
        return False
    try:
        return words[0] in sys.modules or importlib.util.find_spec(words[0]) is not None
    except (ImportError, ValueError):
        return False


def _try(module: str, name: str) -> Optional[Dict[str, Any]]:
    """Return why ``from module import name`` fails, or ``None`` if it succeeds."""
    try:
        exec(compile("from {} import {}".format(module, name), _STATEMENT, "exec"), {})  # noqa: S102, UP032 - two names
    except BaseException as error:  # a package can raise SystemExit at import as well
        if isinstance(error, KeyboardInterrupt):
            raise
        facts = describe(error)
        # A statement of the worker is no place in the target.
        return {**facts, "file": None, "line": None, "package": None} if facts["file"] == _STATEMENT else facts
    return None


def _near(module: str, name: str) -> List[str]:
    """Return the names of the module that are spelled like ``name``; nothing if the module cannot be imported."""
    names = [text for text in dir(sys.modules.get(module)) if not text.startswith("_")]
    return difflib.get_close_matches(name, names, MAX_NEAR, 0.8)
