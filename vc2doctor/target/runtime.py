"""What every module of the worker is handed: the imported packages, the device, and where events go."""

import json
import os
from typing import Any, Dict, NamedTuple, Optional, Protocol


class LoadedCheckpoint(NamedTuple):
    """A checkpoint in memory: frozen, in ``dtype``, on the device that trains."""

    model: Any
    tokenizer: Any
    dtype: str


class Runtime:
    """The imported packages and the device, handed around as one."""

    def __init__(self, torch: Any, transformers: Any, peft: Any, device: Any) -> None:
        self.torch = torch
        self.transformers = transformers
        self.peft = peft
        self.device = device
        self.checkpoint: Optional[LoadedCheckpoint] = None
        """What the user named to be trained instead of the miniature."""


class EventSink(Protocol):
    """Takes events: a pipe to the doctor, or a list that the worker keeps for itself."""

    def emit(self, event: str, **fields: Any) -> None:
        """Take one event; ``fields`` must be JSON values."""


class EventPipe:
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
