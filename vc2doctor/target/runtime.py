"""The objects that every module of the worker gets: the imported packages, the device, and the sink for events."""

import json
import os
from typing import Any, Dict, NamedTuple, Optional, Protocol


class LoadedCheckpoint(NamedTuple):
    """A checkpoint in memory: its parameters are frozen, in ``dtype``, on the device that trains."""

    model: Any
    tokenizer: Any
    dtype: str


class SpareModel(NamedTuple):
    """A model with adapters that can be trained again."""

    model: Any
    values: Dict[str, Any]
    """The first values of its trainable parameters, by name."""


class Runtime:
    """The imported packages, the device, and the user's checkpoint if there is one."""

    def __init__(self, torch: Any, transformers: Any, peft: Any, device: Any) -> None:
        self.torch = torch
        self.transformers = transformers
        self.peft = peft
        """``None``: no adapters are trained."""
        self.device = device
        self.checkpoint: Optional[LoadedCheckpoint] = None
        """The checkpoint that the user passed; it is trained instead of the miniature."""
        self.build_failure: Optional[Exception] = None
        """What the first model with adapters raised. Later ones may succeed by what was imported meanwhile."""
        self.spares: Dict[Any, SpareModel] = {}
        """Models that can be trained again, by the spec and the dtype of the base: see ``probe/spares.py``."""


class EventSink(Protocol):
    """Accepts events: a pipe to vc2doctor, or an object of the worker that keeps them."""

    def emit(self, event: str, **fields: Any) -> None:
        """Accept one event; ``fields`` must be JSON values."""


class EventPipe:
    """Writes events, one JSON object a line with the secret of the run, to a descriptor that children do not inherit.

    ``core/child.py`` of vc2doctor says what the secret, which is read from the descriptor ``secret``, protects from.

    An event is written in one ``os.write``, without a buffer: a crash right after it does not lose it.

    Only the process that opened it writes. A package that forks and goes on in both processes would otherwise mix the
    events of two runs.
    """

    def __init__(self, descriptor: int, secret: int) -> None:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - takes no keyword
        self._descriptor = descriptor
        self._process = os.getpid()
        # Before any package of the target is imported: it must not find the secret in the pipe.
        with os.fdopen(secret, "rb") as pipe:
            self._secret = pipe.read().decode("ascii")

    def emit(self, event: str, **fields: Any) -> None:
        """Write one event; ``fields`` must be JSON values. NaN and infinity are not: send ``None`` for them.

        Raises:
            OSError: vc2doctor has closed its end of the pipe.
        """
        if os.getpid() != self._process:
            return
        record: Dict[str, Any] = {"event": event, "secret": self._secret}
        record.update(fields)
        data = (json.dumps(record, allow_nan=False) + "\n").encode("utf-8")
        while data:
            data = data[os.write(self._descriptor, data) :]
