"""Loads the worker as the package ``worker`` in a target interpreter, and keeps its events.

The scripts of this folder that a target runs import this module by its bare name: Python puts their folder on the path.
"""

import importlib.util
import os
import sys
from typing import Any, Dict, List


def load_package(folder: str) -> None:
    """Load the package at ``folder`` under the name ``worker``."""
    path = os.path.join(folder, "__init__.py")
    spec = importlib.util.spec_from_file_location("worker", path, submodule_search_locations=[folder])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["worker"] = module
    spec.loader.exec_module(module)


class EventList:
    """Keeps events."""

    def __init__(self) -> None:
        self.events: List[Dict[str, Any]] = []

    def emit(self, event: str, **fields: Any) -> None:
        """Keep one event."""
        self.events.append(dict(fields, event=event))
