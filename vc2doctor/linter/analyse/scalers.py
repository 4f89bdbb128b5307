"""Gradient scalers: the calls that construct them."""

from dataclasses import dataclass
from functools import cached_property

from vc2doctor.linter.analyse.dtypes import Value
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.values import Values
from vc2doctor.linter.read.module import Call

_SCALERS = {
    "torch.cuda.amp.GradScaler",
    "torch.cuda.amp.grad_scaler.GradScaler",
    "torch.amp.GradScaler",
    "torch.GradScaler",
}


@dataclass(frozen=True, slots=True, eq=False)
class Scaler:
    """A call that constructs a GradScaler."""

    call: Call
    enabled: frozenset[Value]
    """The possible values of ``enabled``."""


class ScalerFacts:
    """The gradient scalers of one project."""

    def __init__(self, code: CodeFacts, values: Values) -> None:
        self.code = code
        self.values = values

    @cached_property
    def all(self) -> tuple[Scaler, ...]:
        """Every call that constructs a GradScaler of torch."""
        return tuple(
            self._scaler(call)
            for module in self.code.files.modules.values()
            for call in module.calls
            if module.dotted(call.node.func) in _SCALERS
        )

    def _scaler(self, call: Call) -> Scaler:
        # torch.amp.GradScaler takes the device before the arguments of torch.cuda.amp.GradScaler.
        takes_device = not call.place.module.dotted(call.node.func).startswith("torch.cuda")
        enabled = call.argument("enabled", 5 if takes_device else 4)
        return Scaler(call, self.values.of(enabled, call.place) if enabled is not None else frozenset([True]))
