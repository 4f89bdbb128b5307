"""An exception as facts: what was raised, where, by whose code, and which symbol of which package was missing."""

import os
import re
import sys
import traceback
from typing import Any, Dict, List, Optional

_CANNOT_IMPORT = re.compile(r"cannot import name '([^']+)' from (?:partially initialized module )?'([^']+)'")
_NO_MODULE = re.compile(r"No module named '([^']+)'")
_TO_INSTALL = re.compile(r"`pip install ([A-Za-z0-9._-]+)`")
_NO_ATTRIBUTE = re.compile(r"module '([^']+)' has no attribute '([^']+)'")
_LONGEST = 2000
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
"""The folder of the target's code. ``videochat2.py`` in it is no machinery: it stands for the code of VideoChat2."""


def describe(error: BaseException) -> Dict[str, Any]:
    """Return the facts of ``error``, following ``raise … from`` to the exception that started it."""
    root = _root(error)
    frames = traceback.extract_tb(root.__traceback__) or traceback.extract_tb(error.__traceback__)
    places = [frame for frame in frames if not _is_machinery(frame.filename)]
    where = places[-1] if places else None
    return {
        "type": type(root).__name__,
        "message": str(root)[:_LONGEST],
        "file": relative(where.filename) if where else None,
        "line": where.lineno if where else None,
        "package": relative(where.filename).split("/")[0] if where else None,
        "missing": _missing(root),
    }


def relative(path: str) -> str:
    """Return ``path`` below the import root that holds it, with forward slashes: ``peft/peft_model.py``."""
    if path.startswith(_OWN):
        return "vc2doctor/target/" + path[len(_OWN) :].replace(os.sep, "/")
    best = ""
    for entry in sys.path:
        folder = os.path.abspath(entry) + os.sep
        if path.startswith(folder) and len(folder) > len(best):
            best = folder
    return path[len(best) :].replace(os.sep, "/") if best else os.path.basename(path)


def _root(error: BaseException) -> BaseException:
    seen: List[BaseException] = []
    while error not in seen:
        seen.append(error)
        deeper = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if deeper is None or not isinstance(deeper, Exception) or not isinstance(error, (ImportError, RuntimeError)):
            break
        # A lazy module reports the failure it met as its own; any other context is an accident of cleaning up.
        if error.__cause__ is None and not isinstance(deeper, ImportError):
            break
        error = deeper
    return error


def _missing(error: BaseException) -> Optional[Dict[str, Optional[str]]]:
    text = str(error)
    match = _CANNOT_IMPORT.search(text)
    if match:
        return {"module": match.group(2), "symbol": match.group(1)}
    match = _NO_ATTRIBUTE.search(text)
    if match:
        return {"module": match.group(1), "symbol": match.group(2)}
    match = _NO_MODULE.search(text) or _TO_INSTALL.search(text)
    if match:
        return {"module": match.group(1), "symbol": None}
    return None


def _is_machinery(filename: str) -> bool:
    own = filename.startswith(_OWN) and os.path.basename(filename) != "videochat2.py"
    return own or filename.startswith("<frozen ") or os.sep + "importlib" + os.sep in filename
