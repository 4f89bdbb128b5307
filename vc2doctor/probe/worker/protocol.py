"""What the worker says: one JSON object a line, on a pipe of its own."""

import json
import os
from typing import Any, Dict

PROTOCOL = 3
"""Version of the event format; the doctor refuses to read another one."""


class Events:
    """Writes events to a file descriptor that neither children nor libraries of the target know of.

    An event is written in one ``os.write``: it survives whatever happens next, a crash included.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - takes no keyword
        self._descriptor = descriptor

    def emit(self, event: str, **fields: Any) -> None:
        """Write one event; ``fields`` must be JSON values (non-finite floats are not: send ``None``).

        Raises:
            OSError: the doctor has gone away and nobody reads any more.
        """
        record: Dict[str, Any] = {"event": event}
        record.update(fields)
        data = (json.dumps(record, allow_nan=False) + "\n").encode("utf-8")
        while data:
            data = data[os.write(self._descriptor, data) :]
