"""Tries the user's architecture as a miniature, before any recipe trains it, and reports whether that is possible."""

from ..runtime import EventSink, Runtime
from ..shared.spec import Spec
from . import architecture, language_model
from .exceptions import describe


def run(events: EventSink, runtime: Runtime, spec: Spec) -> Spec:
    """Emit one event on the architecture of ``spec``; return ``spec``, without an architecture that cannot be trained.

    The event is ``architecture``, or ``architecture-failed`` with the stage that failed: ``unknown`` (the installed
    transformers lacks it), ``own-code`` (only code beside the weights knows it), ``import``, ``shrink`` (no small model
    can be built, so nothing is said about the large one), or ``forward``. Without an architecture there is no event.
    """
    if not spec.architecture or spec.entry or spec.checkpoint:
        return spec
    stage = "shrink"
    try:
        model = architecture.build(runtime, spec, language_model.BOS, language_model.PAD)
        stage = "forward"
        batch = language_model.batches(runtime, spec)[-1]
        with runtime.torch.no_grad():
            model(input_ids=batch.ids, attention_mask=batch.mask, labels=batch.labels)
    except Exception as error:  # noqa: BLE001 - the target's code can raise anything, and each exception is a result
        kinds = ((architecture.UnknownArchitectureError, "unknown"), (architecture.OwnCodeError, "own-code"))
        stage = next((name for kind, name in (*kinds, (ImportError, "import")) if isinstance(error, kind)), stage)
        events.emit("architecture-failed", stage=stage, error=describe(error))
        return spec._replace(architecture="")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    events.emit("architecture", model=type(model).__name__, parameters=parameters)
    return spec
