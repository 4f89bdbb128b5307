"""Finds the line of the target's code that computes an operation, in the forward or in the backward pass."""

import os
import re
import sys
import traceback
from typing import Any, Dict, List, Optional

import torch

from .exceptions import is_machinery, is_of_others, relative

_TORCH = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
"""A line of the traceback that torch's anomaly mode keeps."""
_AUTOGRAD = os.path.join("torch", "autograd") + os.sep
_CHECKPOINT = os.path.join("torch", "utils", "checkpoint.py")


def of_operation(phase: str) -> Dict[str, Any]:
    """Return ``file`` and ``line`` of the code that computes the running operation (``None``: unknown), and more.

    ``node`` is the name of torch's backward function, such as ``SqrtBackward0``. Its line is that of the forward pass,
    which is known in anomaly mode only. ``site`` says whose Python code runs in a backward pass: ``hook`` (on a tensor
    or a module), ``function`` (of a ``torch.autograd.Function``) or ``recomputation`` (of a checkpoint), with its name
    in ``code``; it is empty for torch's own code.
    """
    stack = traceback.extract_stack(sys._getframe(1))  # noqa: SLF001
    if phase == "backward":
        site = _python_in_backward(stack)
        if site is not None:
            return site
    node = _running_node() if phase == "backward" else None
    if node is not None:
        return dict(of_node(node), site="", code=None)
    return dict(_place([(frame.filename, frame.lineno or 0) for frame in stack]), node=None, site="", code=None)


def of_node(node: Any) -> Dict[str, Any]:
    """Return ``file`` and ``line`` of the forward pass that made ``node`` (``None``: unknown), and the node's name."""
    return dict(_place(_forward_frames(node)), node=str(node.name()))


def of_users_frame() -> Dict[str, Any]:
    """Return ``file`` and ``line`` of the innermost running code that is not torch's and not the worker's."""
    stack = traceback.extract_stack(sys._getframe(1))  # noqa: SLF001
    return _place([(frame.filename, frame.lineno or 0) for frame in stack if not is_of_others(frame.filename)])


def _python_in_backward(stack: Any) -> Optional[Dict[str, Any]]:
    """Return the facts of Python code that the engine of the backward pass called; ``None``: there is none."""
    starts = [number for number, frame in enumerate(stack) if _AUTOGRAD in frame.filename and frame.name != "apply"]
    inner = stack[starts[-1] + 1 :] if starts else []
    own = [frame for frame in inner if not _is_foreign(frame.filename)]
    if not own:
        return None
    is_function = any(_AUTOGRAD in frame.filename and frame.name == "apply" for frame in inner)
    is_checkpoint = any(frame.filename.endswith(_CHECKPOINT) for frame in inner)
    site = "recomputation" if is_checkpoint else "function" if is_function else "hook"
    return {
        "file": relative(own[-1].filename),
        "line": own[-1].lineno,
        "node": None,
        "site": site,
        "code": own[0].name if site != "function" else _name_of_function(),
    }


def _name_of_function() -> Optional[str]:
    """Return the name of the user's ``torch.autograd.Function`` whose backward pass runs."""
    frame: Any = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        if _AUTOGRAD in frame.f_code.co_filename and frame.f_code.co_name == "apply":
            return getattr(getattr(frame.f_locals.get("self"), "_forward_cls", None), "__name__", None)
        frame = frame.f_back
    return None


def _place(frames: List[Any]) -> Dict[str, Any]:
    own = [(file, line) for file, line in frames if not _is_foreign(file)]
    file, line = own[-1] if own else (None, None)
    return {"file": relative(file) if file is not None else None, "line": line}


def _running_node() -> Optional[Any]:
    """Return the node of the graph that the backward pass is at; torch before 2.1 does not tell."""
    current = getattr(torch._C, "_current_autograd_node", None)  # noqa: SLF001 - there is no public name
    return current() if current is not None else None


def _forward_frames(node: Any) -> List[Any]:
    lines = node.metadata.get("traceback_", []) if isinstance(node.metadata, dict) else []
    matches = (_FRAME.search(text) for text in lines)
    return [(match.group(1), int(match.group(2))) for match in matches if match]


def _is_foreign(file: str) -> bool:
    return is_machinery(file) or file.startswith((_TORCH, "<"))
