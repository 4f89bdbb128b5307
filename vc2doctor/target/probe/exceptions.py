"""Describes an exception as facts: its type and place, whose code raised it, and which symbol was missing."""

import os
import re
import sys
import traceback
from typing import Any, Dict, Optional, Set

MAX_MESSAGE = 2000
"""Characters of a message that are kept."""

_CANNOT_IMPORT = re.compile(r"cannot import name '([^']+)' from (?:partially initialized module )?'([^']+)'")
_NO_MODULE = re.compile(r"No module named '([^']+)'")
_TO_INSTALL = re.compile(r"`pip install ([A-Za-z0-9._-]+)`")
_NO_ATTRIBUTE = re.compile(r"module '([^']+)' has no attribute '([^']+)'")
_OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_MINIATURE = "videochat2.py"
"""The one module of the worker that an exception may point to: it stands for the code of VideoChat2."""


def describe(error: BaseException) -> Dict[str, Any]:
    """Return the facts of ``error``, or of the exception that caused it (``raise … from``)."""
    root = _root_cause(error)
    frames = traceback.extract_tb(root.__traceback__) or traceback.extract_tb(error.__traceback__)
    frames_of_target = [frame for frame in frames if not is_machinery(frame.filename)]
    frame = frames_of_target[-1] if frames_of_target else None
    return {
        "type": type(root).__name__,
        "message": _text(root)[:MAX_MESSAGE],
        "file": relative(frame.filename) if frame else None,
        "line": frame.lineno if frame else None,
        "package": relative(frame.filename).split("/")[0] if frame else None,
        "missing": _missing_symbol(root),
    }


def backward_function(error: BaseException) -> Optional[str]:
    """Return the name of the ``torch.autograd.Function`` whose own backward pass raised ``error``, if one did."""
    trace = error.__traceback__
    name: Optional[str] = None
    while trace is not None:
        frame = trace.tb_frame
        if os.path.join("torch", "autograd", "function.py") in frame.f_code.co_filename:
            name = getattr(getattr(frame.f_locals.get("self"), "_forward_cls", None), "__name__", name)
        trace = trace.tb_next
    return name


def is_of_users_code(error: BaseException) -> bool:
    """Return whether the code that raised ``error`` is the user's own: no package's, and not an import that fails.

    Frames of the standard library do not count: ``json.load`` raises for a caller. An error of the system, such as a
    missing file, belongs to the code that chose the path, however deep it is raised.
    """
    root = _root_cause(error)
    if isinstance(root, (KeyboardInterrupt, MemoryError, ImportError)) or _depends_on_versions(root):
        return False
    if isinstance(root, OSError):
        return True
    all_frames = traceback.extract_tb(root.__traceback__) or traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in all_frames if not is_of_others(frame.filename)]
    if not frames:
        # The file of the user has a syntax error.
        return True
    # torch's C++ code raises RuntimeError in the frame of its caller: for memory, devices, dtypes and drivers.
    is_of_torch = isinstance(root, RuntimeError) and not (frames[-1].line or "raise").startswith("raise")
    return not is_of_torch and not _is_of_a_package(frames[-1].filename)


def _depends_on_versions(error: BaseException) -> bool:
    """Return whether another release of a package may accept what raised ``error``."""
    return _missing_symbol(error) is not None or (
        isinstance(error, TypeError) and "unexpected keyword argument" in _text(error)
    )


def is_of_others(filename: str) -> bool:
    """Return whether a frame belongs to the standard library, to the worker, or to Python's import system."""
    is_of_library = filename.startswith(_STANDARD_LIBRARY) and not _is_of_a_package(filename)
    return is_of_library or is_machinery(filename)


def _is_of_a_package(filename: str) -> bool:
    parts = filename.split(os.sep)
    return "site-packages" in parts or "dist-packages" in parts


def relative(path: str) -> str:
    """Return ``path`` relative to the ``sys.path`` entry that holds it, with slashes: ``peft/peft_model.py``."""
    if path.startswith(_OWN_FOLDER):
        return "vc2doctor/target/" + path[len(_OWN_FOLDER) :].replace(os.sep, "/")
    # Entries can be nested, so the longest one that matches is the import root.
    import_root = ""
    for entry in sys.path:
        folder = os.path.abspath(entry) + os.sep
        if path.startswith(folder) and len(folder) > len(import_root):
            import_root = folder
    return path[len(import_root) :].replace(os.sep, "/") if import_root else os.path.basename(path)


def _root_cause(error: BaseException) -> BaseException:
    # `seen` ends the loop if exceptions name each other as their cause. They are compared by identity, because their
    # class can define `==`; all of them live as long as the first one.
    seen: Set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None or not isinstance(cause, Exception) or not isinstance(error, (ImportError, RuntimeError)):
            break
        # A lazy module of transformers raises the failed import again as its own. Any other exception without
        # `raise … from` was only being handled at the time, and is not the cause.
        if error.__cause__ is None and not isinstance(cause, ImportError):
            break
        error = cause
    return error


def _text(error: BaseException) -> str:
    """Return the message of an exception; its class can define a ``__str__`` that fails."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 - code of the target
        return "(no message: its __str__ raised %s)" % type(failure).__name__


def _missing_symbol(error: BaseException) -> Optional[Dict[str, Optional[str]]]:
    text = _text(error)
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


def is_machinery(filename: str) -> bool:
    """Return whether a frame belongs to the worker or to Python's import system, and not to the target's code."""
    is_worker = filename.startswith(_OWN_FOLDER) and os.path.basename(filename) != _MINIATURE
    return is_worker or filename.startswith("<frozen ") or os.sep + "importlib" + os.sep in filename
