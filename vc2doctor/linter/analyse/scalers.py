"""Gradient scalers: where they are made."""

from dataclasses import dataclass
from functools import cached_property

from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.values import Value, Values
from vc2doctor.linter.read.module import Call

SCALERS = {
    "torch.cuda.amp.GradScaler",
    "torch.cuda.amp.grad_scaler.GradScaler",
    "torch.amp.GradScaler",
    "torch.GradScaler",
}


@dataclass(frozen=True, slots=True, eq=False)
class Scaler:
    """A construction of a GradScaler."""

    call: Call
    enabled: frozenset[Value]


class ScalerFacts:
    """The scalers of one project."""

    def __init__(self, code: CodeFacts, values: Values) -> None:
        self.code = code
        self.values = values

    @cached_property
    def all(self) -> tuple[Scaler, ...]:
        """Every construction of a torch GradScaler."""
        found = []
        for module in self.code.files.modules.values():
            for call in module.calls:
                if module.dotted(call.node.func) in SCALERS:
                    generic = not module.dotted(call.node.func).startswith("torch.cuda")
                    enabled = call.argument("enabled", 5 if generic else 4)
                    values = self.values.of(enabled, call.place) if enabled is not None else frozenset([True])
                    found.append(Scaler(call, values))
        return tuple(found)
