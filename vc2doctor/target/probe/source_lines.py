"""Finds the line of the target's code that computes an operation, in the forward or in the backward pass."""

import os
import re
import sys
import traceback
from typing import Any, Dict, List, Optional

import torch

from .exceptions import is_machinery, relative

_TORCH = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
"""A line of the traceback that torch's anomaly mode keeps."""


def of_operation(phase: str) -> Dict[str, Any]:
    """Return ``file`` and ``line`` of the code that computes the running operation (``None``: unknown), and ``node``.

    ``node`` is the name of torch's backward function, such as ``SqrtBackward0``. Its line is that of the forward pass,
    which is known in anomaly mode only.
    """
    node = _running_node() if phase == "backward" else None
    if node is None:
        frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_stack(sys._getframe(1))]  # noqa: SLF001
    else:
        frames = _forward_frames(node)
    own = [(file, line) for file, line in frames if not _is_foreign(file)]
    file, line = own[-1] if own else (None, None)
    return {
        "file": relative(file) if file is not None else None,
        "line": line,
        "node": str(node.name()) if node is not None else None,
    }


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
