"""Finds the call of ``torch.utils.checkpoint.checkpoint`` whose recomputation differs from its forward pass."""

import random
import sys
from typing import Any, Dict, Optional

from ..runtime import EventSink, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import training
from .subject import build

ERROR = "CheckpointError"


def run(events: EventSink, runtime: Runtime, spec: Spec, recipe: Recipe) -> None:
    """Repeat the first step, and emit one ``recomputation`` event: the call, and what the forward pass draws from.

    torch saves and restores only its own random state for the recomputation:
    https://pytorch.org/docs/stable/checkpoint.html.
    """
    from torch.utils import checkpoint  # noqa: PLC0415 - run.py imports torch first and reports a failure

    from .source_lines import of_users_frame  # noqa: PLC0415 - imports torch as well

    frame_class = getattr(checkpoint, "_CheckpointFrame", None)
    failed: Dict[str, Any] = {"file": None, "line": None}
    if frame_class is None:
        return
    make, compare = frame_class.__init__, frame_class.check_recomputed_tensors_match

    def make_and_note(frame: Any, *args: Any, **kwargs: Any) -> None:
        make(frame, *args, **kwargs)
        frame.vc2doctor_place = of_users_frame()

    def compare_and_note(frame: Any, *args: Any, **kwargs: Any) -> Any:
        failed.update(frame.vc2doctor_place)
        return compare(frame, *args, **kwargs)

    frame_class.__init__, frame_class.check_recomputed_tensors_match = make_and_note, compare_and_note
    generator: Optional[str] = None
    try:
        loop = training.Loop(runtime, spec, recipe, build(runtime, spec, recipe))
        loop.seed(0)
        before = _states()
        loop.loss(0)
        generator = next((name for name, state in _states().items() if state != before[name]), None)
        loop.step(0)
    except Exception:  # noqa: BLE001, S110 - it is the exception that the training ended with
        pass
    finally:
        frame_class.__init__, frame_class.check_recomputed_tensors_match = make, compare
    events.emit("recomputation", recipe=recipe.name, generator=generator, **failed)


def _states() -> Dict[str, str]:
    numpy = sys.modules.get("numpy")
    by_numpy = str(numpy.random.get_state()) if numpy is not None else ""
    return {"Python's random": str(random.getstate()), "numpy.random": by_numpy}
